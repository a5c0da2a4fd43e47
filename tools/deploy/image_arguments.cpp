#include "tools/deploy/image_arguments.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "tools/deploy/arguments.h"

namespace gannet {

namespace {

Status check_count(const char* flag, const std::vector<double>& values) {
  if (values.size() <= 1 || values.size() == 3) return {};
  return invalid_input(fmt::format("{} takes one number for all channels, or one for each of 3; it has {}", flag, values.size()));
}

}  // namespace

void add_image_arguments(CLI::App& command, ImageArguments& arguments, const std::string& group) {
  ImageOptions& image = arguments.options;
  command.add_option("--resize", arguments.resize, "stretch, or crop: shorter edge, then the middle [by the model's metadata, else stretch]")
      ->check(CLI::IsMember({"stretch", "crop"}))
      ->group(group);
  command.add_option("--image-size", arguments.size, "HxW where the model leaves it open")
      ->type_name("HxW")
      ->group(group);
  command.add_option("--shortest-edge", image.shortest_edge, "length of the shorter edge before the crop")
      ->check(CLI::Range(int64_t{1}, kMaxImageSide))
      ->group(group);
  command.add_option("--layout", arguments.layout, "NCHW or NHWC; follows from the input's shape")
      ->check(CLI::IsMember({"NCHW", "NHWC"}))
      ->group(group);
  command.add_flag("--bgr", arguments.bgr, "channels in the order blue, green, red")->group(group);
  command.add_option("--scale", image.scale, "factor of the pixels [1/255]")->check(number_that([](double value) { return value != 0; }, "a finite number other than 0"))->group(group);
  command.add_option("--mean", image.mean, "subtracted after the scale, one for all or one a channel")
      ->delimiter(',')
      ->check(number_that([](double) { return true; }, "a finite number"))
      ->group(group);
  command.add_option("--std", image.std, "divided by after the mean")->delimiter(',')->check(finite_number(true))->group(group);
}

Result<ImageOptions> image_options_of(const ImageArguments& arguments, const Metadata& metadata) {
  ImageOptions image = arguments.options;
  TRY(check_count("--mean", image.mean));
  TRY(check_count("--std", image.std));
  if (arguments.resize == "crop") image.fit = ImageFit::kCenterCrop;
  if (arguments.bgr) image.order = ChannelOrder::kBgr;
  if (!arguments.layout.empty())
    image.layout = arguments.layout == "NHWC" ? ImageLayout::kNhwc : ImageLayout::kNchw;
  if (!arguments.size.empty()) {
    Shape size = TRY(parse_extents(arguments.size));
    if (size.size() == 1) size.push_back(size[0]);
    if (size.size() != 2 || !is_static(size))
      return invalid_input(fmt::format("--image-size takes HxW, got '{}'", arguments.size));
    image.height = size[0].constant();
    image.width = size[1].constant();
    for (const int64_t side : {image.height, image.width}) {
      if (side < 1 || side > kMaxImageSide)
        return invalid_input(fmt::format("--image-size {}: a side has 1 to {} pixels, not {}", arguments.size, kMaxImageSide, side));
    }
  }
  apply_image_metadata(metadata, /*fit_is_open=*/arguments.resize.empty(), image);
  return image;
}

bool any_given(const ImageArguments& a) {
  const ImageOptions none;
  return !a.resize.empty() || !a.size.empty() || !a.layout.empty() || a.bgr || a.options.scale || !a.options.mean.empty() ||
         !a.options.std.empty() || a.options.shortest_edge != none.shortest_edge;
}

}  // namespace gannet
