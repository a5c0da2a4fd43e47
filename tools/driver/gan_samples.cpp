#include "tools/driver/gan_samples.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <span>
#include <system_error>

#include "ir/base/file.h"
#include "runtime/data/image_gif.h"
#include "runtime/data/tensor_image.h"

namespace gannet {

namespace {

std::string file_name(int64_t round) { return fmt::format("round-{:06}.png", round); }

// The way back from what `options` make of pixels: numbers of 0 to 255.
Tensor pixels_of(const Tensor& pictures, const ImageOptions& options) {
  const bool planar = options.layout == ImageLayout::kNchw;
  const int64_t channels = pictures.extent(planar ? 1 : 3), area = planar ? pictures.extent(2) * pictures.extent(3) : 1;
  const auto of_channel = [](const std::vector<double>& values, int64_t channel, double otherwise) {
    return values.empty() ? otherwise : values[values.size() == 1 ? 0 : static_cast<size_t>(channel)];
  };
  const double scale = options.scale.value_or(1.0 / 255);
  Tensor pixels = Tensor::zeros(DType::kF64, pictures.extents());
  const std::span<double> values = pixels.mutable_data<double>();
  for (int64_t i = 0; i < pictures.elements(); ++i) {
    const int64_t channel = i / area % channels;
    values[static_cast<size_t>(i)] = (pictures.double_at(i) * of_channel(options.std, channel, 1) + of_channel(options.mean, channel, 0)) / scale;
  }
  return pixels;
}

// The files of a run's grids, in order.
std::vector<std::string> grids_of(const std::string& folder, const SampledRounds& rounds) {
  std::vector<std::string> files;
  for (int64_t round = 0; round <= rounds.last; round += std::min(rounds.every, std::max<int64_t>(rounds.last - round, 1))) {
    std::string file = folder + "/" + file_name(round);
    std::error_code error;
    if (std::filesystem::exists(file, error)) files.push_back(std::move(file));
  }
  return files;
}

}  // namespace

Status write_samples(const Tensor& pictures, const ImageOptions& options, const std::string& folder, int64_t round, EventFile* events) {
  const Image grid = TRY(tensor_grid(pixels_of(pictures, options), {{0, 255}, options.layout, options.order}));
  const std::string png = TRY(encode_png(grid));
  TRY(write_file_atomically(folder + "/" + file_name(round), png));
  return events ? events->image("samples", round, png, grid.height, grid.width, grid.channels) : Status();
}

Status write_animation(const std::string& folder, const SampledRounds& rounds, const std::string& path) {
  constexpr size_t kMostFrames = 120, kMostBytes = size_t{512} << 20;
  const std::vector<std::string> files = grids_of(folder, rounds);
  if (files.empty()) return {};
  const Image last = TRY(read_image(files.back()));
  const size_t fit = std::max<size_t>(kMostBytes / std::max<size_t>(last.pixels.size(), 1), 1);
  const size_t count = std::min({files.size(), kMostFrames, fit});
  std::vector<Image> frames;
  for (size_t i = 0; i + 1 < count; ++i) {
    Result<Image> frame = read_image(files[i * (files.size() - 1) / (count - 1)]);
    // An earlier run may have left grids of another size.
    if (frame.ok() && frame->height == last.height && frame->width == last.width) frames.push_back(*std::move(frame));
  }
  frames.push_back(last);
  return write_gif(path, frames, {.delay_ms = 200});
}

}  // namespace gannet
