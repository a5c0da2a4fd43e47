#include "runtime/data/augment/random_policy.h"

#include <array>
#include <cmath>

#include "runtime/data/augment/geometry.h"
#include "runtime/data/augment/photometry.h"

namespace gannet {

namespace {

// `part` is the strength as a share of the largest, with a sign where there are two directions.
using Change = void (*)(Image& image, double part);

constexpr double kShare = 150.0 / 331;  // of a side: the paper's pictures had 331 pixels

constexpr std::array<Change, 14> kChanges = {
    [](Image&, double) {},
    [](Image& image, double part) { image = warped(image, sheared(0.3 * part, 0)); },
    [](Image& image, double part) { image = warped(image, sheared(0, 0.3 * part)); },
    [](Image& image, double part) {
      image = warped(image, shifted(std::trunc(kShare * part * static_cast<double>(image.width)), 0));
    },
    [](Image& image, double part) {
      image = warped(image, shifted(0, std::trunc(kShare * part * static_cast<double>(image.height))));
    },
    [](Image& image, double part) { image = warped(image, turned(30 * part)); },
    [](Image& image, double part) { change_brightness(image, 1 + 0.9 * part); },
    [](Image& image, double part) { change_saturation(image, 1 + 0.9 * part); },
    [](Image& image, double part) { change_contrast(image, 1 + 0.9 * part); },
    [](Image& image, double part) { change_sharpness(image, 1 + 0.9 * part); },
    [](Image& image, double part) {
      posterize(image, 8 - static_cast<int>(std::lround(4 * std::fabs(part))));
    },
    [](Image& image, double part) {
      solarize(image, static_cast<int>(std::lround(255 * (1 - std::fabs(part)))));
    },
    [](Image& image, double) { stretch_contrast(image); },
    [](Image& image, double) { equalize(image); }};

}  // namespace

void random_policy(Image& image, int count, double strength, Random& random) {
  for (int i = 0; i < count; ++i) {
    const size_t which = random.below(kChanges.size());
    const double sign = random.below(2) == 0 ? 1 : -1;
    kChanges[which](image, sign * strength / 30);
  }
}

}  // namespace gannet
