#include "runtime/data/augment/photometry.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

namespace gannet {

namespace {

uint8_t rounded(float value) { return static_cast<uint8_t>(std::clamp(value + 0.5f, 0.0f, 255.0f)); }

uint8_t blended(float degenerate, float value, float factor) {
  return rounded(degenerate + factor * (value - degenerate));
}

template <class Value>
std::array<uint8_t, 256> table_of(const Value& value) {
  std::array<uint8_t, 256> table{};
  for (size_t i = 0; i < table.size(); ++i) table[i] = value(static_cast<int>(i));
  return table;
}

void look_up(Image& image, const std::array<uint8_t, 256>& table) {
  for (uint8_t& pixel : image.pixels) pixel = table[pixel];
}

void look_up_channel(Image& image, int64_t channel, const std::array<uint8_t, 256>& table) {
  for (size_t i = static_cast<size_t>(channel); i < image.pixels.size();
       i += static_cast<size_t>(image.channels))
    image.pixels[i] = table[image.pixels[i]];
}

std::array<int64_t, 256> histogram(const Image& image, int64_t channel) {
  std::array<int64_t, 256> counts{};
  for (size_t i = static_cast<size_t>(channel); i < image.pixels.size();
       i += static_cast<size_t>(image.channels))
    ++counts[image.pixels[i]];
  return counts;
}

// Hue as a multiple of a sixth of the circle, largest value and range; grey has no hue.
void turn_pixel(uint8_t* rgb, float sixths) {
  const auto [least, most] = std::minmax({rgb[0], rgb[1], rgb[2]});
  if (least == most) return;
  const auto range = static_cast<float>(most - least), top = static_cast<float>(most);
  const auto r = static_cast<float>(rgb[0]), g = static_cast<float>(rgb[1]), b = static_cast<float>(rgb[2]);
  float hue = most == rgb[0] ? (g - b) / range : most == rgb[1] ? (b - r) / range + 2 : (r - g) / range + 4;
  hue += sixths;
  // Each channel is the largest value less the range times a trapezoid of the hue, a third apart.
  auto channel = [&](float offset) {
    float k = std::fmod(offset + hue, 6.0f);
    if (k < 0) k += 6;
    return rounded(top - range * std::clamp(std::min(k, 4 - k), 0.0f, 1.0f));
  };
  const uint8_t red = channel(5), green = channel(3), blue = channel(1);
  rgb[0] = red;
  rgb[1] = green;
  rgb[2] = blue;
}

// One axis: element i of a line is at i * step; lines are `count` long.
void blur_line(const uint8_t* in, uint8_t* out, int64_t count, int64_t step,
               const std::vector<float>& weights) {
  const auto radius = static_cast<int64_t>(weights.size() / 2);
  for (int64_t i = 0; i < count; ++i) {
    float sum = 0;
    for (int64_t k = -radius; k <= radius; ++k)
      sum += weights[static_cast<size_t>(k + radius)] *
             static_cast<float>(in[std::clamp<int64_t>(i + k, 0, count - 1) * step]);
    out[i * step] = rounded(sum);
  }
}

}  // namespace

void change_brightness(Image& image, double factor) {
  look_up(image, table_of([&](int value) {
            return blended(0, static_cast<float>(value), static_cast<float>(factor));
          }));
}

void change_contrast(Image& image, double factor) {
  const Image grey = with_channels(image, 1);
  const int64_t sum = std::accumulate(grey.pixels.begin(), grey.pixels.end(), int64_t{0});
  const auto count = static_cast<int64_t>(grey.pixels.size());
  const auto mean = static_cast<float>((2 * sum + count) / (2 * count));
  look_up(image, table_of([&](int value) {
            return blended(mean, static_cast<float>(value), static_cast<float>(factor));
          }));
}

void change_saturation(Image& image, double factor) {
  if (image.channels == 1) return;
  const Image grey = with_channels(image, 1);
  for (size_t i = 0; i < image.pixels.size(); ++i)
    image.pixels[i] = blended(grey.pixels[i / 3], image.pixels[i], static_cast<float>(factor));
}

void change_sharpness(Image& image, double factor) {
  const Image source = image;
  for (int64_t y = 1; y + 1 < image.height; ++y) {
    for (int64_t x = 1; x + 1 < image.width; ++x) {
      for (int64_t c = 0; c < image.channels; ++c) {
        int sum = 4 * source.at(y, x, c);
        for (int64_t dy = -1; dy <= 1; ++dy) {
          for (int64_t dx = -1; dx <= 1; ++dx) sum += source.at(y + dy, x + dx, c);
        }
        const auto smooth = static_cast<float>((2 * sum + 13) / 26);
        image.at(y, x, c) = blended(smooth, source.at(y, x, c), static_cast<float>(factor));
      }
    }
  }
}

void turn_hue(Image& image, double turn) {
  if (image.channels == 1) return;
  for (size_t i = 0; i < image.pixels.size(); i += 3)
    turn_pixel(&image.pixels[i], static_cast<float>(6 * turn));
}

void make_grey(Image& image) { image = with_channels(with_channels(image, 1), image.channels); }

void invert(Image& image) {
  for (uint8_t& pixel : image.pixels) pixel = static_cast<uint8_t>(255 - pixel);
}

void blur(Image& image, double deviation) {
  if (!(deviation > 0)) return;
  const auto radius = static_cast<int64_t>(std::ceil(3 * deviation));
  std::vector<float> weights;
  double sum = 0;
  for (int64_t k = -radius; k <= radius; ++k)
    sum += std::exp(-static_cast<double>(k * k) / (2 * deviation * deviation));
  for (int64_t k = -radius; k <= radius; ++k)
    weights.push_back(
        static_cast<float>(std::exp(-static_cast<double>(k * k) / (2 * deviation * deviation)) / sum));
  const int64_t row = image.width * image.channels;
  Image between = image;
  for (int64_t y = 0; y < image.height; ++y) {
    for (int64_t c = 0; c < image.channels; ++c)
      blur_line(&image.pixels[static_cast<size_t>(y * row + c)],
                &between.pixels[static_cast<size_t>(y * row + c)], image.width, image.channels, weights);
  }
  for (int64_t i = 0; i < row; ++i)
    blur_line(&between.pixels[static_cast<size_t>(i)], &image.pixels[static_cast<size_t>(i)], image.height,
              row, weights);
}

void posterize(Image& image, int bits) {
  const auto mask = static_cast<uint8_t>(0xFF00 >> std::clamp(bits, 0, 8));
  for (uint8_t& pixel : image.pixels) pixel &= mask;
}

void solarize(Image& image, int threshold) {
  look_up(image, table_of([&](int value) {
            return static_cast<uint8_t>(value >= threshold ? 255 - value : value);
          }));
}

void stretch_contrast(Image& image) {
  for (int64_t c = 0; c < image.channels; ++c) {
    const std::array<int64_t, 256> counts = histogram(image, c);
    const auto present = [](int64_t count) { return count > 0; };
    const auto least = static_cast<int>(std::ranges::find_if(counts, present) - counts.begin());
    const auto most =
        255 - static_cast<int>(std::find_if(counts.rbegin(), counts.rend(), present) - counts.rbegin());
    if (least >= most) continue;
    const float scale = 255.0f / static_cast<float>(most - least);
    look_up_channel(image, c,
                    table_of([&](int value) { return rounded(static_cast<float>(value - least) * scale); }));
  }
}

void equalize(Image& image) {
  for (int64_t c = 0; c < image.channels; ++c) {
    const std::array<int64_t, 256> counts = histogram(image, c);
    const auto last = std::find_if(counts.rbegin(), counts.rend(), [](int64_t count) { return count > 0; });
    const int64_t step = (image.height * image.width - *last) / 255;
    if (step == 0) continue;
    int64_t before = step / 2;
    look_up_channel(image, c, table_of([&](int value) {
                      const auto level = static_cast<uint8_t>(std::min<int64_t>(before / step, 255));
                      before += counts[static_cast<size_t>(value)];
                      return level;
                    }));
  }
}

void cut_out(Image& image, int64_t top, int64_t left, int64_t height, int64_t width, uint8_t value) {
  const int64_t begin = std::max<int64_t>(left, 0), end = std::min(left + width, image.width);
  if (begin >= end) return;
  for (int64_t y = std::max<int64_t>(top, 0); y < std::min(top + height, image.height); ++y) {
    std::fill_n(&image.pixels[static_cast<size_t>((y * image.width + begin) * image.channels)],
                (end - begin) * image.channels, value);
  }
}

}  // namespace gannet
