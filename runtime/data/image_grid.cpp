#include "runtime/data/image_grid.h"

#include <algorithm>
#include <cmath>

namespace gannet {

Image image_grid(std::span<const Image> images, int64_t columns, int64_t gap) {
  CHECK(!images.empty() && columns > 0 && gap >= 0, "{} pictures in {} columns", images.size(), columns);
  constexpr uint8_t kPaper = 255;
  int64_t height = 0, width = 0, channels = 1;
  for (const Image& image : images) {
    height = std::max(height, image.height);
    width = std::max(width, image.width);
    channels = std::max(channels, image.channels);
  }
  const auto count = static_cast<int64_t>(images.size());
  columns = std::min(columns, count);
  const int64_t rows = (count + columns - 1) / columns;
  Image grid{rows * (height + gap) + gap, columns * (width + gap) + gap, channels, {}};
  grid.pixels.assign(static_cast<size_t>(grid.height * grid.width * channels), kPaper);
  for (int64_t i = 0; i < count; ++i) {
    const Image image = with_channels(images[static_cast<size_t>(i)], channels);
    const int64_t top = gap + i / columns * (height + gap) + (height - image.height) / 2;
    const int64_t left = gap + i % columns * (width + gap) + (width - image.width) / 2;
    for (int64_t y = 0; y < image.height; ++y) {
      std::copy_n(image.pixels.begin() + y * image.width * channels, image.width * channels,
                  grid.pixels.begin() + ((top + y) * grid.width + left) * channels);
    }
  }
  return grid;
}

int64_t square_columns(int64_t count) {
  return std::max<int64_t>(std::llround(std::ceil(std::sqrt(static_cast<double>(count)))), 1);
}

}  // namespace gannet
