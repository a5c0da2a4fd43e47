// Each change against its definition, written plainly in double precision.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <functional>
#include <numbers>

#include "runtime/data/augment/augmentation.h"
#include "runtime/data/augment/geometry.h"
#include "runtime/data/augment/photometry.h"
#include "runtime/data/augment/random_policy.h"

namespace gannet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Image noise(int64_t height, int64_t width, int64_t channels, uint64_t seed = 1) {
  Random random(seed);
  Image image{height, width, channels, std::vector<uint8_t>(static_cast<size_t>(height * width * channels))};
  for (uint8_t& pixel : image.pixels) pixel = static_cast<uint8_t>(random.below(256));
  return image;
}

int worst_difference(const Image& a, const Image& b) {
  EXPECT_EQ(a.pixels.size(), b.pixels.size());
  int worst = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) worst = std::max(worst, std::abs(a.pixels[i] - b.pixels[i]));
  return worst;
}

uint8_t to_pixel(double value) {
  return static_cast<uint8_t>(std::clamp(std::floor(value + 0.5), 0.0, 255.0));
}

// Every element from a formula of its place.
Image defined(const Image& like, const std::function<double(int64_t y, int64_t x, int64_t c)>& value) {
  Image image = like;
  for (int64_t y = 0; y < image.height; ++y) {
    for (int64_t x = 0; x < image.width; ++x) {
      for (int64_t c = 0; c < image.channels; ++c) image.at(y, x, c) = to_pixel(value(y, x, c));
    }
  }
  return image;
}

// Bilinear, black outside.
double sample(const Image& image, double y, double x, int64_t c) {
  double sum = 0;
  for (int64_t row = 0; row < image.height; ++row) {
    for (int64_t column = 0; column < image.width; ++column) {
      const double weight = std::max(0.0, 1 - std::abs(y - static_cast<double>(row))) *
                            std::max(0.0, 1 - std::abs(x - static_cast<double>(column)));
      sum += weight * image.at(row, column, c);
    }
  }
  return sum;
}

// The picture whose value at p is the source's at A p + b, both counted from the middle.
Image moved(const Image& image, const std::array<double, 4>& a, const std::array<double, 2>& b) {
  const double my = static_cast<double>(image.height - 1) / 2, mx = static_cast<double>(image.width - 1) / 2;
  return defined(image, [&](int64_t y, int64_t x, int64_t c) {
    const double dx = static_cast<double>(x) - mx, dy = static_cast<double>(y) - my;
    return sample(image, a[2] * dx + a[3] * dy + b[1] + my, a[0] * dx + a[1] * dy + b[0] + mx, c);
  });
}

double grey_of(const Image& image, int64_t y, int64_t x) {
  if (image.channels == 1) return image.at(y, x, 0);
  return std::floor(0.299 * image.at(y, x, 0) + 0.587 * image.at(y, x, 1) + 0.114 * image.at(y, x, 2) + 0.5);
}

TEST(AugmentGeometry, WarpsAreTheirMaps) {
  for (const auto& [height, width] : {std::pair{12, 9}, {9, 12}, {1, 7}}) {
    const Image image = noise(height, width, 3);
    const double angle = 23 * std::numbers::pi / 180;
    EXPECT_LE(worst_difference(
                  warped(image, turned(23)),
                  moved(image, {std::cos(angle), -std::sin(angle), std::sin(angle), std::cos(angle)}, {})),
              1);
    EXPECT_LE(worst_difference(warped(image, sheared(0.3, -0.1)), moved(image, {1, 0.3, -0.1, 1}, {})), 1);
    EXPECT_LE(worst_difference(warped(image, enlarged(1.3)), moved(image, {1 / 1.3, 0, 0, 1 / 1.3}, {})), 1);
    EXPECT_LE(worst_difference(warped(image, shifted(2.25, -1.5)), moved(image, {1, 0, 0, 1}, {-2.25, 1.5})),
              1);
    EXPECT_EQ(warped(image, Affine()).pixels, image.pixels);
  }
}

TEST(AugmentGeometry, TurnsCounterclockwiseAndShiftsRight) {
  const Image image{2, 2, 1, {1, 2, 3, 4}};
  EXPECT_THAT(warped(image, turned(90)).pixels, ElementsAre(2, 4, 1, 3));
  EXPECT_THAT(warped(image, shifted(1, 0)).pixels, ElementsAre(0, 1, 0, 3));
  EXPECT_THAT(warped(image, shifted(0, 1), 9).pixels, ElementsAre(9, 9, 1, 2));
}

TEST(AugmentGeometry, MirrorsAndCuts) {
  Image image{2, 3, 1, {1, 2, 3, 4, 5, 6}};
  mirror_columns(image);
  EXPECT_THAT(image.pixels, ElementsAre(3, 2, 1, 6, 5, 4));
  mirror_rows(image);
  EXPECT_THAT(image.pixels, ElementsAre(6, 5, 4, 3, 2, 1));
  EXPECT_THAT(window(image, -1, 1, 2, 3, Border::kBlack).pixels, ElementsAre(0, 0, 0, 5, 4, 0));
  EXPECT_THAT(window(image, -1, 1, 2, 3, Border::kReflect).pixels, ElementsAre(2, 1, 2, 5, 4, 5));
  const Image wide = noise(5, 8, 3);
  const Image far = window(wide, -9, -20, 30, 41, Border::kReflect);
  EXPECT_EQ(far.at(9, 20, 2), wide.at(0, 0, 2));
  EXPECT_EQ(far.at(10, 27, 1), wide.at(1, 7, 1));
  EXPECT_EQ(far.at(14, 28, 0), wide.at(3, 6, 0));
  EXPECT_EQ(window(wide, 100, 0, 2, 2, Border::kBlack).pixels, std::vector<uint8_t>(12));
}

TEST(AugmentPhotometry, BlendsAreTheirFormulas) {
  for (const int64_t channels : {1, 3}) {
    const Image image = noise(7, 11, channels);
    double mean = 0;
    for (int64_t y = 0; y < 7; ++y) {
      for (int64_t x = 0; x < 11; ++x) mean += grey_of(image, y, x) / 77;
    }
    mean = std::floor(mean + 0.5);
    for (const double f : {0.0, 0.4, 1.0, 1.7}) {
      auto check = [&](void (*change)(Image&, double),
                       const std::function<double(int64_t, int64_t, int64_t)>& degenerate) {
        Image changed = image;
        change(changed, f);
        const Image expected = defined(image, [&](int64_t y, int64_t x, int64_t c) {
          const double d = degenerate(y, x, c);
          return d + f * (image.at(y, x, c) - d);
        });
        EXPECT_LE(worst_difference(changed, expected), 1) << f;
      };
      check(change_brightness, [](int64_t, int64_t, int64_t) { return 0.0; });
      check(change_contrast, [&](int64_t, int64_t, int64_t) { return mean; });
      check(change_saturation, [&](int64_t y, int64_t x, int64_t) { return grey_of(image, y, x); });
      check(change_sharpness, [&](int64_t y, int64_t x, int64_t c) -> double {
        if (y == 0 || x == 0 || y == 6 || x == 10) return image.at(y, x, c);
        double sum = 4.0 * image.at(y, x, c);
        for (int64_t dy = -1; dy <= 1; ++dy) {
          for (int64_t dx = -1; dx <= 1; ++dx) sum += image.at(y + dy, x + dx, c);
        }
        return std::floor(sum / 13 + 0.5);
      });
    }
  }
}

// Hue in [0, 1), saturation and value of a pixel, and back, by the six cases of the textbook.
std::array<double, 3> hsv_of(double r, double g, double b) {
  const double most = std::max({r, g, b}), least = std::min({r, g, b}), range = most - least;
  double hue = 0;
  if (range > 0) {
    if (most == r)
      hue = std::fmod((g - b) / range + 6, 6);
    else if (most == g)
      hue = (b - r) / range + 2;
    else
      hue = (r - g) / range + 4;
  }
  return {hue / 6, most > 0 ? range / most : 0, most};
}

std::array<double, 3> rgb_of(double hue, double saturation, double value) {
  const double h = hue * 6, f = h - std::floor(h);
  const double p = value * (1 - saturation), q = value * (1 - saturation * f),
               t = value * (1 - saturation * (1 - f));
  switch (static_cast<int>(std::floor(h)) % 6) {
    case 0:
      return {value, t, p};
    case 1:
      return {q, value, p};
    case 2:
      return {p, value, t};
    case 3:
      return {p, q, value};
    case 4:
      return {t, p, value};
    default:
      return {value, p, q};
  }
}

TEST(AugmentPhotometry, TurnsHues) {
  const Image image = noise(16, 16, 3);
  for (const double turn : {-0.5, -0.2, 0.0, 0.1, 0.45}) {
    Image changed = image;
    turn_hue(changed, turn);
    const Image expected = defined(image, [&](int64_t y, int64_t x, int64_t c) {
      auto [h, s, v] = hsv_of(image.at(y, x, 0), image.at(y, x, 1), image.at(y, x, 2));
      h += turn + 1;
      return rgb_of(h - std::floor(h), s, v)[static_cast<size_t>(c)];
    });
    EXPECT_LE(worst_difference(changed, expected), 1) << turn;
  }
}

TEST(AugmentPhotometry, BlursByTheGaussian) {
  const Image image = noise(9, 13, 3);
  for (const double deviation : {0.3, 1.0, 2.5}) {
    const auto radius = static_cast<int64_t>(std::ceil(3 * deviation));
    auto weight = [&](int64_t k) {
      return std::exp(-static_cast<double>(k * k) / (2 * deviation * deviation));
    };
    double total = 0;
    for (int64_t k = -radius; k <= radius; ++k) total += weight(k);
    const Image expected = defined(image, [&](int64_t y, int64_t x, int64_t c) {
      double sum = 0;
      for (int64_t dy = -radius; dy <= radius; ++dy) {
        for (int64_t dx = -radius; dx <= radius; ++dx) {
          sum += weight(dy) * weight(dx) / total / total *
                 image.at(std::clamp<int64_t>(y + dy, 0, 8), std::clamp<int64_t>(x + dx, 0, 12), c);
        }
      }
      return sum;
    });
    Image changed = image;
    blur(changed, deviation);
    EXPECT_LE(worst_difference(changed, expected), 1) << deviation;
  }
}

TEST(AugmentPhotometry, ChangesLevels) {
  Image image{1, 4, 1, {10, 100, 130, 200}};
  auto after = [&](auto change) {
    Image changed = image;
    change(changed);
    return changed.pixels;
  };
  EXPECT_THAT(after([](Image& x) { posterize(x, 1); }), ElementsAre(0, 0, 128, 128));
  EXPECT_THAT(after([](Image& x) { posterize(x, 8); }), ElementsAre(10, 100, 130, 200));
  EXPECT_THAT(after([](Image& x) { solarize(x, 130); }), ElementsAre(10, 100, 125, 55));
  EXPECT_THAT(after(invert), ElementsAre(245, 155, 125, 55));
  EXPECT_THAT(after(stretch_contrast), ElementsAre(0, 121, 161, 255));
  image.pixels = {7, 7, 7, 7};
  EXPECT_THAT(after(stretch_contrast), ElementsAre(7, 7, 7, 7));
  EXPECT_THAT(after(equalize), ElementsAre(7, 7, 7, 7));
  Image colour = noise(4, 4, 3);
  make_grey(colour);
  EXPECT_EQ(colour.channels, 3);
  EXPECT_EQ(colour.at(1, 2, 0), colour.at(1, 2, 2));
  cut_out(colour, -1, 2, 2, 9, 128);
  EXPECT_EQ(colour.at(0, 3, 1), 128);
  EXPECT_NE(colour.at(1, 3, 1), 128);
}

// ImageOps.equalize of Pillow 13 on ten levels, each one a multiple of the one before.
TEST(AugmentPhotometry, EqualizesAsPillow) {
  Image image{32, 32, 1, {}};
  for (int i = 0; i < 1024; ++i) image.pixels.push_back(static_cast<uint8_t>(i % 7 * (i % 3) * 9));
  equalize(image);
  std::array<int64_t, 256> counts{};
  for (int i = 0; i < 1024; ++i) ++counts[static_cast<size_t>(i % 7 * (i % 3) * 9)];
  int64_t last = 0;
  for (const int64_t count : counts) last = count > 0 ? count : last;
  const int64_t step = (1024 - last) / 255;
  std::array<int64_t, 256> levels{};
  for (int64_t i = 0, before = step / 2; i < 256; before += counts[static_cast<size_t>(i++)])
    levels[static_cast<size_t>(i)] = std::min<int64_t>(before / step, 255);
  for (int i = 0; i < 1024; ++i)
    ASSERT_EQ(image.pixels[static_cast<size_t>(i)], levels[static_cast<size_t>(i % 7 * (i % 3) * 9)]);
}

TEST(Augmentation, ParsesALine) {
  const Augmentation augmentation =
      *Augmentation::parse("flip,crop=4,color=0.2,randaugment=2:9,mixup=0.2,cutmix=1");
  EXPECT_EQ(augmentation.text(), "flip=0.5,crop=4:0,color=0.2:0,randaugment=2:9,mixup=0.2:1,cutmix=1:1");
  EXPECT_EQ(Augmentation::parse(augmentation.text())->text(), augmentation.text());
  EXPECT_EQ(augmentation.mixing(), (Mixing{0.2, 1, 1}));
  EXPECT_FALSE(augmentation.resizes());
  EXPECT_TRUE(Augmentation::parse("resized-crop")->resizes());
  EXPECT_TRUE(Augmentation::parse("")->empty());
  EXPECT_TRUE(Augmentation::parse("none")->empty());
}

TEST(Augmentation, SaysWhatIsNotUnderstood) {
  auto error = [](std::string_view text) { return Augmentation::parse(text).error().message; };
  EXPECT_THAT(error("flop"), HasSubstr("no augmentation 'flop'; there are flip, vflip"));
  EXPECT_THAT(error("flip,"), HasSubstr("no augmentation ''"));
  EXPECT_EQ(error("crop"), "augmentation 'crop' lacks PIXELS: crop=PIXELS[:REFLECT]");
  EXPECT_EQ(error("flip=2"), "augmentation 'flip=2': CHANCE is a number of 0 to 1 in flip[=CHANCE]");
  EXPECT_THAT(error("flip=0.5:1"), HasSubstr("too many numbers"));
  EXPECT_THAT(error("crop=x"), HasSubstr("PIXELS is a number"));
  EXPECT_THAT(error("crop=nan"), HasSubstr("PIXELS is a number"));
}

TEST(Augmentation, IsAFunctionOfItsRandomNumbers) {
  const Image image = noise(24, 20, 3);
  for (const AugmentHelp& help : augmentations()) {
    std::string line = help.usage.substr(0, help.usage.find_first_of("=["));
    for (const std::string_view number : {"", "=0.5", "=1", "=5"}) {
      const Result<Augmentation> augmentation = Augmentation::parse(line + std::string(number));
      if (!augmentation.ok()) continue;
      for (int64_t row = 0; row < 20; ++row) {
        Image once = image, twice = image;
        Random first = augment_random(3, 1, row), second = augment_random(3, 1, row);
        augmentation->apply(once, {24, 20}, first);
        augmentation->apply(twice, {24, 20}, second);
        ASSERT_EQ(once.pixels, twice.pixels) << line;
        ASSERT_EQ(once.height, 24) << line;
        ASSERT_EQ(once.width, 20) << line;
      }
    }
  }
}

TEST(Augmentation, DrawsWhatItSays) {
  const Augmentation flip = *Augmentation::parse("flip=0.25");
  int flips = 0, moves = 0;
  for (int64_t row = 0; row < 4000; ++row) {
    Image image{1, 2, 1, {1, 2}};
    Random random = augment_random(0, 0, row);
    flip.apply(image, {1, 2}, random);
    flips += image.pixels[0] == 2;
  }
  EXPECT_NEAR(flips, 1000, 110);  // four deviations
  const Augmentation crop = *Augmentation::parse("crop=1");
  for (int64_t row = 0; row < 900; ++row) {
    Image image{1, 3, 1, {1, 2, 3}};
    Random random = augment_random(0, 0, row);
    crop.apply(image, {1, 3}, random);
    moves += image.pixels == std::vector<uint8_t>{0, 1, 2};
  }
  EXPECT_NEAR(moves, 100, 40);
}

TEST(Augmentation, CutsPartsOfTheAreaItSays) {
  // The mean of a ramp's slope tells how wide the part was.
  Image ramp{100, 100, 1, std::vector<uint8_t>(10'000)};
  for (int64_t y = 0; y < 100; ++y) {
    for (int64_t x = 0; x < 100; ++x) ramp.at(y, x, 0) = static_cast<uint8_t>(2 * x);
  }
  const Augmentation augmentation = *Augmentation::parse("resized-crop=0.25:1");
  double least = 1, most = 0;
  for (int64_t row = 0; row < 300; ++row) {
    Image image = ramp;
    Random random = augment_random(5, 0, row);
    augmentation.apply(image, {50, 50}, random);
    ASSERT_EQ(image.width, 50);
    const double width = (image.at(25, 49, 0) - image.at(25, 0, 0)) / 2.0 + 1;
    least = std::min(least, width / 100);
    most = std::max(most, width / 100);
  }
  EXPECT_NEAR(least, 0.5, 0.05);
  EXPECT_NEAR(most, 1, 0.05);
}

TEST(RandAugment, OfStrengthZeroLeavesGeometryAlone) {
  const Image image = noise(16, 16, 3);
  int same = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Image changed = image;
    Random random(seed);
    random_policy(changed, 1, 0, random);
    same += changed.pixels == image.pixels;
  }
  EXPECT_GE(same, 130);  // all but solarize's last level, autocontrast and equalize: 11 of 14
}

TEST(Mixing, SharesFollowBeta) {
  for (const double alpha : {0.2, 1.0, 4.0, 20.0, 100.0}) {
    Random random(7);
    double sum = 0, squares = 0;
    constexpr int kDraws = 20'000;
    for (int i = 0; i < kDraws; ++i) {
      const double share = symmetric_beta(alpha, random);
      ASSERT_TRUE(share >= 0 && share <= 1);
      sum += share;
      squares += share * share;
    }
    const double mean = sum / kDraws;
    EXPECT_NEAR(mean, 0.5, 0.015) << alpha;
    EXPECT_NEAR(squares / kDraws - mean * mean, 1 / (4 * (2 * alpha + 1)), 0.01) << alpha;
  }
  Random random(1);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(std::isfinite(symmetric_beta(1e-3, random)));
}

TEST(Mixing, TargetsFollowThePixels) {
  for (const Mixing& mixing : {Mixing{1, 0, 1}, Mixing{0, 1, 1}, Mixing{1, 1, 1}, Mixing{1, 0, 0}}) {
    constexpr int64_t kRows = 12;
    std::vector<Image> images;
    Tensor targets = Tensor::zeros(DType::kF32, {kRows, kRows});
    for (int64_t i = 0; i < kRows; ++i) {
      images.push_back({16, 16, 1, std::vector<uint8_t>(256, static_cast<uint8_t>(20 * i))});
      targets.mutable_data<float>()[static_cast<size_t>(i * kRows + i)] = 1;
    }
    Random random(3);
    mix_batch(images, targets, mixing, random);
    bool mixed = false;
    for (int64_t i = 0; i < kRows; ++i) {
      double total = 0, expected = 0, mean = 0;
      for (int64_t c = 0; c < kRows; ++c) {
        const double share = targets.data<float>()[static_cast<size_t>(i * kRows + c)];
        total += share;
        expected += share * static_cast<double>(20 * c);
        mixed |= c != i && share > 0;
      }
      for (const uint8_t pixel : images[static_cast<size_t>(i)].pixels) mean += pixel / 256.0;
      EXPECT_NEAR(total, 1, 1e-6);
      EXPECT_NEAR(mean, expected, 0.51);
    }
    EXPECT_EQ(mixed, mixing.chance > 0);
  }
}

}  // namespace
}  // namespace gannet
