#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "runtime/data/image.h"

namespace gannet {
namespace {

Image blank(int64_t height, int64_t width, int64_t channels) {
  return {height, width, channels, std::vector<uint8_t>(static_cast<size_t>(height * width * channels))};
}

// Which inputs make one output along an axis, and with what weights in units of 2^-kFractionBits.
struct Taps {
  int64_t first = 0;
  std::vector<int32_t> weights;
};

// 8 bits of sample and 2 of headroom leave this much of an i32 for weights.
constexpr int kFractionBits = 32 - 8 - 2;

double triangle(double distance) { return std::max(1.0 - distance, 0.0); }

// R. Keys, "Cubic convolution interpolation for digital image processing" (1981).
double cubic(double distance) {
  constexpr double a = -0.5;
  if (distance < 1) return ((a + 2) * distance - (a + 3)) * distance * distance + 1;
  return distance < 2 ? ((distance - 5) * distance + 8) * distance * a - 4 * a : 0;
}

std::vector<Taps> filter_taps(int64_t input, int64_t output, ResizeFilter filter) {
  const bool is_cubic = filter == ResizeFilter::kBicubic;
  double step = static_cast<double>(input) / static_cast<double>(output);
  const double spread = std::max(step, 1.0), radius = (is_cubic ? 2 : 1) * spread;
  std::vector<Taps> taps(static_cast<size_t>(output));
  std::vector<double> weights;
  for (int64_t i = 0; i < output; ++i) {
    double center = (static_cast<double>(i) + 0.5) * step;
    int64_t first = std::max<int64_t>(static_cast<int64_t>(center - radius + 0.5), 0);
    int64_t last = std::min(static_cast<int64_t>(center + radius + 0.5), input);
    weights.clear();
    double sum = 0;
    for (int64_t x = first; x < last; ++x) {
      double distance = std::abs((static_cast<double>(x) - center + 0.5) * (1.0 / spread));
      weights.push_back(is_cubic ? cubic(distance) : triangle(distance));
      sum += weights.back();
    }
    Taps& tap = taps[static_cast<size_t>(i)];
    tap.first = first;
    for (double weight : weights) {
      const double units = weight * (1.0 / sum) * (1 << kFractionBits);
      tap.weights.push_back(static_cast<int32_t>(units + (units < 0 ? -0.5 : 0.5)));
    }
  }
  return taps;
}

uint8_t rounded(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> kFractionBits, 0, 255)); }

constexpr int32_t kHalf = 1 << (kFractionBits - 1);

Image resize_columns(const Image& image, int64_t width, ResizeFilter filter) {
  Image result = blank(image.height, width, image.channels);
  std::vector<Taps> taps = filter_taps(image.width, width, filter);
  for (int64_t y = 0; y < image.height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      const Taps& tap = taps[static_cast<size_t>(x)];
      for (int64_t c = 0; c < image.channels; ++c) {
        const uint8_t* sample =
            &image.pixels[static_cast<size_t>((y * image.width + tap.first) * image.channels + c)];
        int32_t sum = kHalf;
        for (size_t k = 0; k < tap.weights.size(); ++k) {
          sum += sample[static_cast<int64_t>(k) * image.channels] * tap.weights[k];
        }
        result.at(y, x, c) = rounded(sum);
      }
    }
  }
  return result;
}

Image resize_rows(const Image& image, int64_t height, ResizeFilter filter) {
  Image result = blank(height, image.width, image.channels);
  std::vector<Taps> taps = filter_taps(image.height, height, filter);
  int64_t row = image.width * image.channels;
  std::vector<int32_t> sums(static_cast<size_t>(row));
  for (int64_t y = 0; y < height; ++y) {
    const Taps& tap = taps[static_cast<size_t>(y)];
    std::fill(sums.begin(), sums.end(), kHalf);
    for (size_t k = 0; k < tap.weights.size(); ++k) {
      const uint8_t* samples =
          &image.pixels[static_cast<size_t>((tap.first + static_cast<int64_t>(k)) * row)];
      for (size_t i = 0; i < sums.size(); ++i) sums[i] += samples[i] * tap.weights[k];
    }
    uint8_t* out = &result.pixels[static_cast<size_t>(y * row)];
    for (size_t i = 0; i < sums.size(); ++i) out[i] = rounded(sums[i]);
  }
  return result;
}

Image resize_nearest(const Image& image, int64_t height, int64_t width) {
  auto source = [](int64_t i, int64_t input, int64_t output) {
    double position =
        (static_cast<double>(i) + 0.5) * static_cast<double>(input) / static_cast<double>(output);
    return std::min(static_cast<int64_t>(position), input - 1);
  };
  Image result = blank(height, width, image.channels);
  for (int64_t y = 0; y < height; ++y) {
    int64_t from_y = source(y, image.height, height);
    for (int64_t x = 0; x < width; ++x) {
      int64_t from_x = source(x, image.width, width);
      for (int64_t c = 0; c < image.channels; ++c) result.at(y, x, c) = image.at(from_y, from_x, c);
    }
  }
  return result;
}

}  // namespace

Image resize(const Image& image, int64_t height, int64_t width, ResizeFilter filter) {
  CHECK(height > 0 && width > 0 && image.height > 0 && image.width > 0, "{} x {} to {} x {}", image.height,
        image.width, height, width);
  if (filter == ResizeFilter::kNearest) return resize_nearest(image, height, width);
  // In this order the picture between the steps is never larger than both others.
  if (height < image.height && width > image.width)
    return resize_columns(resize_rows(image, height, filter), width, filter);
  Image between = width == image.width ? image : resize_columns(image, width, filter);
  return height == image.height ? between : resize_rows(between, height, filter);
}

Result<Image> center_crop(const Image& image, int64_t height, int64_t width) {
  if (height < 1 || width < 1 || height > image.height || width > image.width) {
    return invalid_input(fmt::format("a picture of {} x {} cannot be cut to {} x {}", image.height,
                                     image.width, height, width));
  }
  int64_t top = std::llrint(static_cast<double>(image.height - height) / 2);
  int64_t left = std::llrint(static_cast<double>(image.width - width) / 2);
  Image result = blank(height, width, image.channels);
  int64_t row = width * image.channels;
  for (int64_t y = 0; y < height; ++y) {
    auto from = image.pixels.begin() + ((top + y) * image.width + left) * image.channels;
    std::copy(from, from + row, result.pixels.begin() + y * row);
  }
  return result;
}

Image with_channels(const Image& image, int64_t channels) {
  CHECK(channels == 1 || channels == 3, "{} channels", channels);
  if (channels == image.channels) return image;
  Image result = blank(image.height, image.width, channels);
  for (size_t i = 0; i < static_cast<size_t>(image.height * image.width); ++i) {
    if (channels == 3) {
      std::fill_n(&result.pixels[3 * i], 3, image.pixels[i]);
    } else {
      // 0.299 R + 0.587 G + 0.114 B in units of 2^-16.
      const uint8_t* rgb = &image.pixels[3 * i];
      result.pixels[i] =
          static_cast<uint8_t>((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 0x8000u) >> 16);
    }
  }
  return result;
}

}  // namespace gannet
