#include "runtime/data/tensor_image.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "runtime/data/image_grid.h"

namespace gannet {

namespace {

struct Extents {
  int64_t height = 0, width = 0, channels = 1;
  bool planar = true;
};

int64_t exact_root(int64_t area) {
  const auto side = static_cast<int64_t>(std::llround(std::sqrt(static_cast<double>(area))));
  return side * side == area ? side : 0;
}

std::optional<Extents> extents_of(const Tensor& tensor, std::optional<ImageLayout> layout) {
  const auto has_channels = [&](int64_t axis) {
    return tensor.extent(axis) == 1 || tensor.extent(axis) == 3;
  };
  if (tensor.rank() == 4) {
    const bool planar = layout ? *layout == ImageLayout::kNchw : has_channels(1);
    if (!has_channels(planar ? 1 : 3)) return std::nullopt;
    if (planar) return Extents{tensor.extent(2), tensor.extent(3), tensor.extent(1), true};
    return Extents{tensor.extent(1), tensor.extent(2), tensor.extent(3), false};
  }
  if (tensor.rank() == 3) return Extents{tensor.extent(1), tensor.extent(2), 1, true};
  if (tensor.rank() != 2) return std::nullopt;
  for (const int64_t channels : {1, 3}) {
    const int64_t side = tensor.extent(1) % channels == 0 ? exact_root(tensor.extent(1) / channels) : 0;
    if (side > 1)  // a number a row is a score
      return Extents{side, side, channels, layout.value_or(ImageLayout::kNchw) == ImageLayout::kNchw};
  }
  return std::nullopt;
}

uint8_t level_of(double value, ValueRange range) {
  constexpr uint8_t kMiddle = 128;
  if (std::isnan(value)) return kMiddle;
  const double share = std::clamp((value - range.low) / (range.high - range.low), 0.0, 1.0);
  return static_cast<uint8_t>(std::lround(share * 255));
}

}  // namespace

Result<std::vector<Image>> images_of(const Tensor& tensor, const TensorImageOptions& options) {
  const std::optional<Extents> extents = extents_of(tensor, options.layout);
  if (!extents || !(is_float(tensor.dtype()) || is_int(tensor.dtype()))) {
    return invalid_input(
        fmt::format("{} is no batch of pictures: [N, C, H, W] or [N, H, W, C] with 1 or 3 channels, "
                    "[N, H, W] or [N, pixels of a square]",
                    type_string(tensor)));
  }
  if (!(options.range.high > options.range.low)) {
    return invalid_input(
        fmt::format("values from {} to {} are no range", options.range.low, options.range.high));
  }
  const Tensor values = TRY(convert(tensor, DType::kF32));
  const auto area = static_cast<size_t>(extents->height * extents->width);
  const auto channels = static_cast<size_t>(extents->channels);
  std::vector<Image> images;
  const float* from = values.data<float>().data();
  for (int64_t n = 0; n < tensor.extent(0); ++n, from += area * channels) {
    Image image{extents->height, extents->width, extents->channels, std::vector<uint8_t>(area * channels)};
    for (size_t i = 0; i < area; ++i) {
      for (size_t c = 0; c < channels; ++c) {
        const size_t target = options.order == ChannelOrder::kBgr ? channels - 1 - c : c;
        const float value = from[extents->planar ? c * area + i : i * channels + c];
        image.pixels[i * channels + target] = level_of(static_cast<double>(value), options.range);
      }
    }
    images.push_back(std::move(image));
  }
  return images;
}

Result<Image> tensor_grid(const Tensor& tensor, const TensorImageOptions& options, int64_t columns) {
  const std::vector<Image> images = TRY(images_of(tensor, options));
  if (images.empty()) return invalid_input("a grid of no pictures");
  return image_grid(images, columns > 0 ? columns : square_columns(static_cast<int64_t>(images.size())));
}

}  // namespace gannet
