#include "runtime/data/image_tiles.h"

#include <algorithm>

namespace gannet {

namespace {

// The weight of place `i` of `length`, which rises over `rise` from the beginning and falls over `fall` to
// the end.
float ramp(int64_t i, int64_t length, int64_t rise, int64_t fall) {
  double weight = 1;
  if (i < rise) weight = static_cast<double>(i + 1) / static_cast<double>(rise + 1);
  const int64_t left = length - 1 - i;
  if (left < fall) weight = std::min(weight, static_cast<double>(left + 1) / static_cast<double>(fall + 1));
  return static_cast<float>(weight);
}

// 0 1 2 3 2 1 0 1 2 ... for a length of 4.
int64_t mirrored(int64_t i, int64_t length) {
  if (length == 1) return 0;
  const int64_t period = 2 * (length - 1);
  i = ((i % period) + period) % period;
  return i < length ? i : period - i;
}

}  // namespace

std::vector<int64_t> tile_starts(int64_t length, int64_t tile, int64_t overlap) {
  CHECK(length > 0 && tile > 0 && overlap >= 0 && overlap < tile, "tiles of {} with {} in common over {}",
        tile, overlap, length);
  if (length <= tile) return {0};
  const int64_t step = tile - overlap, count = (length - overlap + step - 1) / step;
  std::vector<int64_t> starts;
  for (int64_t i = 0; i < count; ++i) starts.push_back((length - tile) * i / (count - 1));
  return starts;
}

Image mirrored_cut(const Image& image, int64_t top, int64_t left, int64_t height, int64_t width) {
  Image cut{height, width, image.channels, {}};
  cut.pixels.reserve(static_cast<size_t>(height * width * image.channels));
  for (int64_t y = 0; y < height; ++y) {
    const int64_t from_y = mirrored(top + y, image.height);
    for (int64_t x = 0; x < width; ++x) {
      const int64_t from_x = mirrored(left + x, image.width);
      for (int64_t c = 0; c < image.channels; ++c) cut.pixels.push_back(image.at(from_y, from_x, c));
    }
  }
  return cut;
}

TileCanvas::TileCanvas(int64_t channels, int64_t height, int64_t width)
    : channels_(channels),
      height_(height),
      width_(width),
      sums_(static_cast<size_t>(channels * height * width)),
      weights_(static_cast<size_t>(height * width)) {}

void TileCanvas::add(std::span<const float> values, const Place& place) {
  CHECK(static_cast<int64_t>(values.size()) == channels_ * place.height * place.width,
        "{} values for a tile of {} x {}", values.size(), place.height, place.width);
  for (int64_t y = 0; y < place.height && place.top + y < height_; ++y) {
    const float row = ramp(y, place.height, place.above, place.below);
    for (int64_t x = 0; x < place.width && place.left + x < width_; ++x) {
      const float weight = row * ramp(x, place.width, place.before, place.behind);
      const int64_t to = (place.top + y) * width_ + place.left + x, from = y * place.width + x;
      weights_[static_cast<size_t>(to)] += weight;
      for (int64_t c = 0; c < channels_; ++c)
        sums_[static_cast<size_t>(c * height_ * width_ + to)] +=
            weight * values[static_cast<size_t>(c * place.height * place.width + from)];
    }
  }
}

std::vector<float> TileCanvas::finish() && {
  for (size_t i = 0; i < sums_.size(); ++i) sums_[i] /= weights_[i % weights_.size()];
  return std::move(sums_);
}

}  // namespace gannet
