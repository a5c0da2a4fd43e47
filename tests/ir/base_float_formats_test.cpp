#include "ir/base/float_formats.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <vector>

namespace gannet {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
const float kNaN = std::numeric_limits<float>::quiet_NaN();

// The value of sign, exponent and mantissa fields by the formula of IEEE 754, without regard to special
// values.
double field_value(uint32_t bits, int exponent_bits, int mantissa_bits, int bias) {
  const int mantissa = static_cast<int>(bits & ((1u << mantissa_bits) - 1));
  const int exponent = static_cast<int>((bits >> mantissa_bits) & ((1u << exponent_bits) - 1));
  const bool negative = (bits >> (mantissa_bits + exponent_bits)) & 1;
  const double fraction = mantissa * std::pow(2.0, -mantissa_bits);
  const double magnitude =
      exponent ? (1 + fraction) * std::pow(2.0, exponent - bias) : fraction * std::pow(2.0, 1 - bias);
  return negative ? -magnitude : magnitude;
}

bool same_bits(float a, float b) { return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b); }

TEST(Half, EveryValueWidensExactlyAndComesBack) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = half_to_float(static_cast<uint16_t>(bits));
    if ((bits & 0x7c00) == 0x7c00) {
      if (bits & 0x3ff)
        EXPECT_TRUE(std::isnan(value)) << bits;
      else
        EXPECT_EQ(value, bits & 0x8000 ? -kInfinity : kInfinity);
    } else {
      EXPECT_TRUE(same_bits(value, static_cast<float>(field_value(bits, 5, 10, 15)))) << bits;
    }
    EXPECT_EQ(float_to_half(value), bits);
    EXPECT_TRUE(std::isnan(value) || double_to_half(value) == bits) << bits;
  }
}

TEST(Half, RoundsToNearestEvenBetweenAllNeighbours) {
  for (uint32_t bits = 0; bits < 0x7c00; ++bits) {
    const double low = field_value(bits, 5, 10, 15), high = field_value(bits + 1, 5, 10, 15);
    const float middle = static_cast<float>((low + high) / 2);  // exact; past the largest it is 65520
    const uint32_t even = bits & 1 ? bits + 1 : bits;
    EXPECT_EQ(float_to_half(middle), even) << bits;
    EXPECT_EQ(float_to_half(-middle), even | 0x8000);
    EXPECT_EQ(float_to_half(std::nextafter(middle, 0.0f)), bits);
    EXPECT_EQ(float_to_half(std::nextafter(middle, kInfinity)), bits + 1);
    const double exact = (low + high) / 2;
    EXPECT_EQ(double_to_half(exact), even);
    EXPECT_EQ(double_to_half(std::nextafter(exact, 0.0)), bits);
    EXPECT_EQ(double_to_half(std::nextafter(exact, HUGE_VAL)), bits + 1);
  }
}

TEST(Half, Extremes) {
  EXPECT_EQ(float_to_half(kInfinity), 0x7c00);
  EXPECT_EQ(float_to_half(-kInfinity), 0xfc00);
  EXPECT_EQ(float_to_half(std::numeric_limits<float>::max()), 0x7c00);
  EXPECT_EQ(float_to_half(std::numeric_limits<float>::denorm_min()), 0);
  EXPECT_EQ(float_to_half(-0.0f), 0x8000);
  EXPECT_EQ(double_to_half(1e300), 0x7c00);
  EXPECT_EQ(double_to_half(-1e-300), 0x8000);
  EXPECT_TRUE(std::isnan(half_to_float(float_to_half(std::bit_cast<float>(0x7f800001u)))));
  EXPECT_TRUE(std::isnan(half_to_float(double_to_half(std::nan("")))));
}

TEST(BFloat16, EveryValueWidensExactlyAndComesBack) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = bfloat16_to_float(static_cast<uint16_t>(bits));
    if ((bits & 0x7f80) == 0x7f80) {
      EXPECT_EQ(std::isnan(value), (bits & 0x7f) != 0);
    } else {
      EXPECT_TRUE(same_bits(value, static_cast<float>(field_value(bits, 8, 7, 127)))) << bits;
    }
    EXPECT_EQ(float_to_bfloat16(value), bits);
  }
}

TEST(BFloat16, RoundsToNearestEvenBetweenAllNeighbours) {
  for (uint32_t bits = 0; bits < 0x7f80; ++bits) {
    const float middle = std::bit_cast<float>((bits << 16) | 0x8000u);
    const uint32_t even = bits & 1 ? bits + 1 : bits;
    EXPECT_EQ(float_to_bfloat16(middle), even);
    EXPECT_EQ(float_to_bfloat16(std::nextafter(middle, 0.0f)), bits);
    EXPECT_EQ(float_to_bfloat16(std::nextafter(middle, kInfinity)), bits + 1);
    EXPECT_EQ(float_to_bfloat16(-middle), even | 0x8000);
  }
  EXPECT_TRUE(std::isnan(bfloat16_to_float(float_to_bfloat16(std::bit_cast<float>(0x7f800001u)))));
}

struct Format {
  SmallFloat format;
  int width, exponent_bits, mantissa_bits, bias;
  std::map<uint32_t, float> specials;
  float largest;
  bool has_infinity, has_nan, has_negative_zero;
};

std::vector<Format> formats() {
  return {
      {SmallFloat::kE4M3FN, 8, 4, 3, 7, {{0x7f, kNaN}, {0xff, kNaN}}, 448, false, true, true},
      {SmallFloat::kE4M3FNUZ, 8, 4, 3, 8, {{0x80, kNaN}}, 240, false, true, false},
      {SmallFloat::kE5M2,
       8,
       5,
       2,
       15,
       {{0x7c, kInfinity},
        {0xfc, -kInfinity},
        {0x7d, kNaN},
        {0x7e, kNaN},
        {0x7f, kNaN},
        {0xfd, kNaN},
        {0xfe, kNaN},
        {0xff, kNaN}},
       57344,
       true,
       true,
       true},
      {SmallFloat::kE5M2FNUZ, 8, 5, 2, 16, {{0x80, kNaN}}, 57344, false, true, false},
      {SmallFloat::kE2M1, 4, 2, 1, 1, {}, 6, false, false, true},
  };
}

TEST(SmallFloats, EveryValueWidensExactlyAndComesBack) {
  for (const Format& f : formats()) {
    float largest = 0;
    for (uint32_t bits = 0; bits < (1u << f.width); ++bits) {
      const float value = small_float_to_float(f.format, static_cast<uint8_t>(bits));
      const auto special = f.specials.find(bits);
      if (special != f.specials.end()) {
        if (std::isnan(special->second))
          EXPECT_TRUE(std::isnan(value)) << bits;
        else
          EXPECT_EQ(value, special->second);
        continue;
      }
      EXPECT_TRUE(
          same_bits(value, static_cast<float>(field_value(bits, f.exponent_bits, f.mantissa_bits, f.bias))))
          << bits;
      EXPECT_EQ(float_to_small_float(f.format, value, true), bits);
      EXPECT_EQ(float_to_small_float(f.format, value, false), bits);
      largest = std::max(largest, value);
    }
    EXPECT_EQ(largest, f.largest);
  }
}

TEST(SmallFloats, RoundToNearestEvenBetweenAllNeighbours) {
  for (const Format& f : formats()) {
    const uint32_t sign = 1u << (f.width - 1);
    for (uint32_t bits = 0; small_float_to_float(f.format, static_cast<uint8_t>(bits)) < f.largest; ++bits) {
      const float low = small_float_to_float(f.format, static_cast<uint8_t>(bits));
      const float high = small_float_to_float(f.format, static_cast<uint8_t>(bits + 1));
      const float middle = (low + high) / 2;
      const uint32_t even = bits & 1 ? bits + 1 : bits;
      EXPECT_EQ(float_to_small_float(f.format, middle, false), even) << bits;
      EXPECT_EQ(float_to_small_float(f.format, std::nextafter(middle, 0.0f), false), bits);
      EXPECT_EQ(float_to_small_float(f.format, std::nextafter(middle, kInfinity), false), bits + 1);
      const uint32_t negative = even == 0 && !f.has_negative_zero ? 0 : even | sign;
      EXPECT_EQ(float_to_small_float(f.format, -middle, false), negative);
    }
  }
}

TEST(SmallFloats, BeyondTheLargest) {
  for (const Format& f : formats()) {
    const auto cast = [&](float value, bool saturate) {
      return small_float_to_float(f.format, float_to_small_float(f.format, value, saturate));
    };
    for (float beyond : {f.largest * 1.5f, 1e30f, kInfinity}) {
      EXPECT_EQ(cast(beyond, true), f.largest);
      EXPECT_EQ(cast(-beyond, true), -f.largest);
      if (f.has_infinity)
        EXPECT_EQ(cast(-beyond, false), -kInfinity);
      else if (f.has_nan)
        EXPECT_TRUE(std::isnan(cast(beyond, false)));
      else
        EXPECT_EQ(cast(beyond, false), f.largest);
    }
    EXPECT_EQ(std::isnan(cast(kNaN, true)), f.has_nan);
    EXPECT_EQ(std::signbit(cast(-0.0f, true)), f.has_negative_zero);
    EXPECT_EQ(cast(std::numeric_limits<float>::denorm_min(), true), 0);
  }
  // Half way between the largest and what would follow rounds to the even neighbour, the largest.
  EXPECT_EQ(float_to_small_float(SmallFloat::kE4M3FN, 464.0f, false), 0x7e);
  EXPECT_EQ(float_to_small_float(SmallFloat::kE4M3FN, 464.1f, false), 0x7f);
}

TEST(E8M0, PowersOfTwo) {
  for (int bits = 0; bits < 255; ++bits) {
    const float value = small_float_to_float(SmallFloat::kE8M0, static_cast<uint8_t>(bits));
    EXPECT_EQ(value, std::pow(2.0, bits - 127));
    for (int mode : {0, 1, 2}) EXPECT_EQ(float_to_e8m0(value, true, mode), bits);
  }
  EXPECT_TRUE(std::isnan(small_float_to_float(SmallFloat::kE8M0, 0xff)));
}

TEST(E8M0, RoundsByMode) {
  EXPECT_EQ(float_to_e8m0(1.25f, true, 0), 128);
  EXPECT_EQ(float_to_e8m0(1.75f, true, 1), 127);
  EXPECT_EQ(float_to_e8m0(1.25f, true, 2), 127);
  EXPECT_EQ(float_to_e8m0(1.5f, true, 2), 128);
  EXPECT_EQ(float_to_e8m0(std::numeric_limits<float>::max(), true, 0), 254);
  EXPECT_EQ(float_to_e8m0(std::numeric_limits<float>::max(), false, 0), 255);
  EXPECT_EQ(float_to_e8m0(kInfinity, true, 0), 254);
  EXPECT_EQ(float_to_e8m0(0.0f, true, 0), 0);
  EXPECT_EQ(float_to_e8m0(0.0f, false, 2), 255);
  EXPECT_EQ(float_to_e8m0(kNaN, true, 0), 255);
  EXPECT_EQ(float_to_e8m0(-1.0f, true, 0), 255);
}

TEST(RoundToOdd, NeverCrossesTheValue) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 100'000; ++i) {
    const double value =
        std::bit_cast<double>((random() & ~(0x7ffull << 52)) | ((1023ull - 100 + random() % 200) << 52));
    const float odd = double_to_float_odd(value);
    if (static_cast<double>(odd) == value) continue;
    EXPECT_EQ(std::bit_cast<uint32_t>(odd) & 1, 1u);
    EXPECT_TRUE(odd == static_cast<float>(value) ||
                std::nextafter(odd, static_cast<float>(value)) == static_cast<float>(value));
  }
}

TEST(NarrowInt, KeepsTheLowBits) {
  for (int value = -300; value <= 300; ++value) {
    const int low4 = value & 15, low2 = value & 3;
    EXPECT_EQ((NarrowInt<4, false>(value)), low4);
    EXPECT_EQ((NarrowInt<4, true>(value)), low4 > 7 ? low4 - 16 : low4);
    EXPECT_EQ((NarrowInt<2, false>(value)), low2);
    EXPECT_EQ((NarrowInt<2, true>(value)), low2 > 1 ? low2 - 4 : low2);
  }
}

}  // namespace
}  // namespace gannet
