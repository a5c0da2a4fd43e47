#include "runtime/data/augment/mixing.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

namespace gannet {

namespace {

// A part of each row and of another: own * share + other * (1 - share).
void blend(Image& image, const Image& other, double share) {
  const auto own = static_cast<float>(share), rest = static_cast<float>(1 - share);
  for (size_t i = 0; i < image.pixels.size(); ++i) {
    const float value =
        own * static_cast<float>(image.pixels[i]) + rest * static_cast<float>(other.pixels[i]);
    image.pixels[i] = static_cast<uint8_t>(std::clamp(value + 0.5f, 0.0f, 255.0f));
  }
}

// Puts a rectangle of `other` in, of sides sqrt(1 - share) around a random middle, cut at the edges. Gives
// the share of the pixels that stayed.
double patch(Image& image, const Image& other, double share, Random& random) {
  const double side = std::sqrt(1 - share);
  const int64_t height = std::llround(static_cast<double>(image.height) * side),
                width = std::llround(static_cast<double>(image.width) * side);
  const int64_t middle_y = static_cast<int64_t>(random.below(static_cast<uint64_t>(image.height))),
                middle_x = static_cast<int64_t>(random.below(static_cast<uint64_t>(image.width)));
  const int64_t top = std::max<int64_t>(middle_y - height / 2, 0),
                left = std::max<int64_t>(middle_x - width / 2, 0);
  const int64_t bottom = std::min(middle_y - height / 2 + height, image.height),
                right = std::min(middle_x - width / 2 + width, image.width);
  for (int64_t y = top; y < bottom; ++y) {
    const int64_t at = (y * image.width + left) * image.channels;
    std::copy_n(other.pixels.begin() + at, std::max<int64_t>(right - left, 0) * image.channels,
                image.pixels.begin() + at);
  }
  const int64_t replaced = std::max<int64_t>(bottom - top, 0) * std::max<int64_t>(right - left, 0);
  return 1 - static_cast<double>(replaced) / static_cast<double>(image.height * image.width);
}

}  // namespace

double symmetric_beta(double alpha, Random& random) {
  if (alpha > 1) {
    const double radius = std::sqrt(1 - std::pow(random.uniform_double(), 2 / (2 * alpha - 1)));
    return 0.5 + 0.5 * radius * std::cos(2 * std::numbers::pi * random.uniform_double());
  }
  while (true) {
    // Logarithms, since the powers underflow for small parameters.
    const double x = std::log(1 - random.uniform_double()) / alpha,
                 y = std::log(1 - random.uniform_double()) / alpha;
    const double largest = std::max(x, y), sum = std::exp(x - largest) + std::exp(y - largest);
    if (largest + std::log(sum) <= 0) return std::exp(x - largest) / sum;
  }
}

void mix_batch(std::vector<Image>& images, Tensor& targets, const Mixing& mixing, Random& random) {
  const std::vector<Image> before = images;
  const Tensor before_targets = targets;
  std::vector<size_t> others(images.size());
  std::iota(others.begin(), others.end(), 0);
  random.shuffle(std::span<size_t>(others));
  const int64_t classes = targets.elements() / targets.extent(0);
  const std::span<const float> from = before_targets.data<float>();
  const std::span<float> to = targets.mutable_data<float>();
  for (size_t i = 0; i < images.size(); ++i) {
    const bool is_mixed = random.uniform_double() < mixing.chance;
    const bool whole = mixing.cutmix == 0 || (mixing.mixup > 0 && random.below(2) == 0);
    double share = symmetric_beta(whole ? mixing.mixup : mixing.cutmix, random);
    if (!is_mixed) continue;
    const Image& other = before[others[i]];
    if (whole)
      blend(images[i], other, share);
    else
      share = patch(images[i], other, share, random);
    const auto own = static_cast<float>(share);
    for (size_t c = 0; c < static_cast<size_t>(classes); ++c) {
      const size_t row = static_cast<size_t>(classes);
      to[i * row + c] = own * from[i * row + c] + (1 - own) * from[others[i] * row + c];
    }
  }
}

}  // namespace gannet
