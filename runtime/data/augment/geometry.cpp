#include "runtime/data/augment/geometry.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace gannet {

namespace {

Image blank(int64_t height, int64_t width, int64_t channels) {
  return {height, width, channels, std::vector<uint8_t>(static_cast<size_t>(height * width * channels))};
}

// 0 1 2 3 | 2 1 0 1 ...; a single pixel is its own reflection.
int64_t reflected(int64_t i, int64_t extent) {
  if (extent == 1) return 0;
  const int64_t period = 2 * (extent - 1);
  i = (i % period + period) % period;
  return i < extent ? i : period - i;
}

}  // namespace

void mirror_columns(Image& image) {
  for (int64_t y = 0; y < image.height; ++y) {
    uint8_t* row = &image.pixels[static_cast<size_t>(y * image.width * image.channels)];
    for (int64_t x = 0; x < image.width / 2; ++x) {
      uint8_t* other = row + (image.width - 1 - x) * image.channels;
      std::swap_ranges(row + x * image.channels, row + (x + 1) * image.channels, other);
    }
  }
}

void mirror_rows(Image& image) {
  const int64_t bytes = image.width * image.channels;
  for (int64_t y = 0; y < image.height / 2; ++y) {
    const auto row = image.pixels.begin() + y * bytes;
    std::swap_ranges(row, row + bytes, image.pixels.begin() + (image.height - 1 - y) * bytes);
  }
}

Image window(const Image& image, int64_t top, int64_t left, int64_t height, int64_t width, Border border) {
  Image result = blank(height, width, image.channels);
  const int64_t channels = image.channels;
  for (int64_t y = 0; y < height; ++y) {
    int64_t from_y = top + y;
    if (border == Border::kReflect) from_y = reflected(from_y, image.height);
    if (from_y < 0 || from_y >= image.height) continue;
    const uint8_t* source = &image.pixels[static_cast<size_t>(from_y * image.width * channels)];
    uint8_t* out = &result.pixels[static_cast<size_t>(y * width * channels)];
    if (border == Border::kReflect) {
      for (int64_t x = 0; x < width; ++x)
        std::copy_n(source + reflected(left + x, image.width) * channels, channels, out + x * channels);
      continue;
    }
    const int64_t begin = std::max<int64_t>(0, -left), end = std::min(width, image.width - left);
    if (begin < end)
      std::copy_n(source + (left + begin) * channels, (end - begin) * channels, out + begin * channels);
  }
  return result;
}

Image resized_part(const Image& image, int64_t top, int64_t left, int64_t height, int64_t width,
                   int64_t new_height, int64_t new_width) {
  return resize(window(image, top, left, height, width, Border::kBlack), new_height, new_width,
                ResizeFilter::kBilinear);
}

Image warped(const Image& image, const Affine& source, uint8_t outside) {
  Image result = blank(image.height, image.width, image.channels);
  const int64_t channels = image.channels;
  const float middle_x = static_cast<float>(image.width - 1) / 2,
              middle_y = static_cast<float>(image.height - 1) / 2;
  const std::vector<uint8_t> nothing(static_cast<size_t>(channels), outside);
  auto pixel = [&](int64_t y, int64_t x) {
    const bool inside = y >= 0 && y < image.height && x >= 0 && x < image.width;
    return inside ? &image.pixels[static_cast<size_t>((y * image.width + x) * channels)] : nothing.data();
  };
  uint8_t* out = result.pixels.data();
  for (int64_t y = 0; y < image.height; ++y) {
    const float down = static_cast<float>(y) - middle_y;
    const float row_x = static_cast<float>(source.xy) * down + static_cast<float>(source.x0) + middle_x;
    const float row_y = static_cast<float>(source.yy) * down + static_cast<float>(source.y0) + middle_y;
    for (int64_t x = 0; x < image.width; ++x, out += channels) {
      const float right = static_cast<float>(x) - middle_x;
      const float far_x = static_cast<float>(image.width), far_y = static_cast<float>(image.height);
      const float from_x = std::clamp(static_cast<float>(source.xx) * right + row_x, -1.0f, far_x),
                  from_y = std::clamp(static_cast<float>(source.yx) * right + row_y, -1.0f, far_y);
      const float floor_x = std::floor(from_x), floor_y = std::floor(from_y);
      const auto x0 = static_cast<int64_t>(floor_x), y0 = static_cast<int64_t>(floor_y);
      const float part_x = from_x - floor_x, part_y = from_y - floor_y;
      const uint8_t *a = pixel(y0, x0), *b = pixel(y0, x0 + 1), *c = pixel(y0 + 1, x0),
                    *d = pixel(y0 + 1, x0 + 1);
      for (int64_t k = 0; k < channels; ++k) {
        const float upper = static_cast<float>(a[k]) * (1 - part_x) + static_cast<float>(b[k]) * part_x;
        const float lower = static_cast<float>(c[k]) * (1 - part_x) + static_cast<float>(d[k]) * part_x;
        out[k] = static_cast<uint8_t>(upper * (1 - part_y) + lower * part_y + 0.5f);
      }
    }
  }
  return result;
}

// The rows of a picture go down: to turn it counterclockwise, sources turn the other way.
Affine turned(double degrees) {
  const double angle = degrees * std::numbers::pi / 180, cosine = std::cos(angle), sine = std::sin(angle);
  return {cosine, -sine, 0, sine, cosine, 0};
}

Affine sheared(double x_tangent, double y_tangent) { return {1, x_tangent, 0, y_tangent, 1, 0}; }
Affine enlarged(double factor) { return {1 / factor, 0, 0, 0, 1 / factor, 0}; }
Affine shifted(double right, double down) { return {1, 0, -right, 0, 1, -down}; }

}  // namespace gannet
