#include "tools/deploy/image_metadata.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <optional>

namespace gannet {

namespace {

std::string_view without_blanks(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

std::optional<double> number_in(std::string_view text) {
  text = without_blanks(text);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

// "[0.5, 0.5]" or "0.5,0.5"; empty where it is something else.
std::vector<double> numbers_in(std::string_view text) {
  text = without_blanks(text);
  if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
  std::vector<double> numbers;
  while (true) {
    const size_t comma = text.find(',');
    const std::optional<double> number = number_in(text.substr(0, comma));
    if (!number) return {};
    numbers.push_back(*number);
    if (comma == std::string_view::npos) return numbers;
    text.remove_prefix(comma + 1);
  }
}

bool is_true(const Metadata& metadata, const std::string& key) {
  const std::optional<std::string> text = metadata_value(metadata, key);
  return text && (*text == "true" || *text == "True");
}

// The whole number behind a key of a small JSON object; 0 where there is none.
int64_t extent_in(const Metadata& metadata, const std::string& object, std::string_view key) {
  const std::optional<std::string> text = metadata_value(metadata, object);
  const std::string quoted = fmt::format("\"{}\"", key);
  const size_t at = text ? text->find(quoted) : std::string::npos;
  if (at == std::string::npos) return 0;
  const size_t begin = text->find_first_not_of(" :", at + quoted.size());
  if (begin == std::string::npos) return 0;
  int64_t value = 0;
  std::from_chars(text->data() + begin, text->data() + text->size(), value);
  return value > 0 && value <= kMaxImageSide ? value : 0;
}

}  // namespace

Metadata classifier_metadata(const std::vector<std::string>& classes, bool several_labels, const ImageOptions& options) {
  Metadata metadata = {{"task", kImageTask},
                       {"problem_type", several_labels ? "multi_label_classification" : "single_label_classification"},
                       {"id2label", id_to_label_text(classes)}};
  std::ranges::move(image_metadata(options), std::back_inserter(metadata));
  return metadata;
}

Metadata image_metadata(const ImageOptions& options) {
  Metadata metadata;
  const bool crops = options.fit == ImageFit::kCenterCrop;
  const std::string extents = fmt::format(R"({{"height": {}, "width": {}}})", options.height, options.width);
  metadata.emplace_back("do_center_crop", crops ? "true" : "false");
  if (!crops) metadata.emplace_back("size", extents);
  if (crops) metadata.emplace_back("crop_size", extents);
  if (crops && options.shortest_edge > 0)
    metadata.emplace_back("size", fmt::format(R"({{"shortest_edge": {}}})", options.shortest_edge));
  metadata.emplace_back("do_flip_channel_order", options.order == ChannelOrder::kBgr ? "true" : "false");
  if (options.dtype == DType::kU8) return metadata;
  metadata.emplace_back("rescale_factor", fmt::to_string(options.scale.value_or(1.0 / 255)));
  if (!options.mean.empty()) metadata.emplace_back("image_mean", fmt::format("[{}]", fmt::join(options.mean, ", ")));
  if (!options.std.empty()) metadata.emplace_back("image_std", fmt::format("[{}]", fmt::join(options.std, ", ")));
  return metadata;
}

void apply_image_metadata(const Metadata& metadata, bool fit_is_open, ImageOptions& options) {
  if (fit_is_open && is_true(metadata, "do_center_crop")) options.fit = ImageFit::kCenterCrop;
  const bool crops = options.fit == ImageFit::kCenterCrop;
  if (crops && options.shortest_edge == 0) options.shortest_edge = extent_in(metadata, "size", "shortest_edge");
  if (options.height == 0 && options.width == 0) {
    const std::string key = crops && metadata_value(metadata, "crop_size") ? "crop_size" : "size";
    const int64_t height = extent_in(metadata, key, "height"), width = extent_in(metadata, key, "width");
    if (height > 0 && width > 0) options.height = height, options.width = width;
  }
  if (is_true(metadata, "do_flip_channel_order")) options.order = ChannelOrder::kBgr;
  if (options.dtype == DType::kU8) return;
  if (const auto text = metadata_value(metadata, "rescale_factor"); text && !options.scale) options.scale = number_in(*text);
  if (const auto text = metadata_value(metadata, "image_mean"); text && options.mean.empty()) options.mean = numbers_in(*text);
  if (const auto text = metadata_value(metadata, "image_std"); text && options.std.empty()) options.std = numbers_in(*text);
}

}  // namespace gannet
