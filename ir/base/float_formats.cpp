#include "ir/base/float_formats.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "ir/base/check.h"

namespace gannet {
namespace {

struct SmallFloatSpec {
  int mantissa_bits;
  int bias;
  uint8_t sign_bit;       // 0 where there are no negative values
  uint8_t largest;        // bits of the largest finite magnitude
  uint8_t infinity;       // bits of infinity; 0 where the format has none
  uint8_t nan;            // bits of the NaN to produce; 0 where the format has none
  bool zero_is_unsigned;  // the bits of -0 mean NaN, and NaN has no sign
};

constexpr std::array<SmallFloatSpec, 6> kSpecs = {{
    {3, 7, 0x80, 0x7e, 0, 0x7f, false},      // E4M3FN
    {3, 8, 0x80, 0x7f, 0, 0x80, true},       // E4M3FNUZ
    {2, 15, 0x80, 0x7b, 0x7c, 0x7e, false},  // E5M2
    {2, 16, 0x80, 0x7f, 0, 0x80, true},      // E5M2FNUZ
    {0, 127, 0, 0xfe, 0, 0xff, false},       // E8M0
    {1, 1, 0x08, 0x07, 0, 0, false},         // E2M1
}};

const SmallFloatSpec& spec_of(SmallFloat format) { return kSpecs[static_cast<size_t>(format)]; }

constexpr uint8_t kE8M0NaN = 0xff;
constexpr uint8_t kE8M0Largest = 0xfe;

// The bits of the finite magnitude rounded to nearest even; beyond `largest` they are only known to exceed
// it.
int round_magnitude(const SmallFloatSpec& spec, double magnitude) {
  if (magnitude == 0) return 0;
  const int smallest_exponent = 1 - spec.bias;
  const int exponent = std::max(std::ilogb(magnitude), smallest_exponent);
  // The quotient is exact, and below 2^(mantissa bits + 1).
  const double quotient = std::ldexp(magnitude, spec.mantissa_bits - exponent);
  int rounded = static_cast<int>(quotient);
  const double rest = quotient - rounded;
  if (rest > 0.5 || (rest == 0.5 && (rounded & 1))) ++rounded;
  // Adding lets the hidden bit of a normal number carry into the exponent field.
  return ((exponent - smallest_exponent) << spec.mantissa_bits) + rounded;
}

}  // namespace

float half_to_float(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1fu;
  const uint32_t mantissa = bits & 0x3ffu;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

uint16_t float_to_half(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    const uint32_t payload = (magnitude >> 13) & 0x3ffu;
    return static_cast<uint16_t>(sign | 0x7c00u | (payload ? payload : 0x200u));
  }
  if (magnitude >= 0x477ff000u) return sign | 0x7c00u;  // 65520, half way past the largest finite half
  if (magnitude >= 0x38800000u) {                       // 2^-14, the smallest normal half
    const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
    return static_cast<uint16_t>(sign | ((rounded - 0x38000000u) >> 13));
  }
  // One unit in the last place of 0.5f is 2^-24, the spacing of subnormal halves: the addition rounds to it.
  const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
  return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000u));
}

float double_to_float_odd(double value) {
  const float nearest = static_cast<float>(value);
  if (std::isnan(value) || static_cast<double>(nearest) == value) return nearest;
  uint32_t bits = std::bit_cast<uint32_t>(nearest);
  if (std::fabs(static_cast<double>(nearest)) > std::fabs(value)) --bits;
  return std::bit_cast<float>(bits | 1u);
}

uint16_t double_to_half(double value) { return float_to_half(double_to_float_odd(value)); }

float bfloat16_to_float(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

uint16_t float_to_bfloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) {
    const uint32_t kept = bits >> 16;
    return static_cast<uint16_t>(kept & 0x7fu ? kept : kept | 0x40u);
  }
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

float small_float_to_float(SmallFloat format, uint8_t bits) {
  const SmallFloatSpec& spec = spec_of(format);
  if (format == SmallFloat::kE8M0) {
    if (bits == kE8M0NaN) return std::numeric_limits<float>::quiet_NaN();
    return std::ldexp(1.0f, bits - spec.bias);
  }
  const bool negative = (bits & spec.sign_bit) != 0;
  const int magnitude = bits & (spec.sign_bit - 1);
  if (magnitude > spec.largest || (spec.zero_is_unsigned && bits == spec.nan)) {
    const bool infinite = spec.infinity && magnitude == spec.infinity;
    const float special =
        infinite ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN();
    return negative && !spec.zero_is_unsigned ? -special : special;
  }
  const int exponent_field = magnitude >> spec.mantissa_bits;
  const int hidden_bit = 1 << spec.mantissa_bits;
  const int mantissa = (magnitude & (hidden_bit - 1)) + (exponent_field ? hidden_bit : 0);
  const int exponent = (exponent_field ? exponent_field : 1) - spec.bias;
  const float value = std::ldexp(static_cast<float>(mantissa), exponent - spec.mantissa_bits);
  return negative ? -value : value;
}

uint8_t float_to_small_float(SmallFloat format, float value, bool saturate) {
  if (format == SmallFloat::kE8M0) return float_to_e8m0(value, saturate, 0);
  const SmallFloatSpec& spec = spec_of(format);
  const uint8_t sign = std::signbit(value) ? spec.sign_bit : 0;
  if (std::isnan(value)) {
    // E2M1 has no NaN; -0 is what stands for it.
    if (!spec.nan) return spec.sign_bit;
    return spec.zero_is_unsigned ? spec.nan : static_cast<uint8_t>(sign | spec.nan);
  }
  const double magnitude = std::fabs(static_cast<double>(value));
  const int rounded = std::isinf(value) ? 0x100 : round_magnitude(spec, magnitude);
  if (rounded == 0) return spec.zero_is_unsigned ? 0 : sign;
  if (rounded <= spec.largest) return static_cast<uint8_t>(sign | rounded);
  if (saturate || !spec.nan) return static_cast<uint8_t>(sign | spec.largest);
  if (spec.infinity) return static_cast<uint8_t>(sign | spec.infinity);
  return spec.zero_is_unsigned ? spec.nan : static_cast<uint8_t>(sign | spec.nan);
}

uint8_t float_to_e8m0(float value, bool saturate, int mode) {
  CHECK(mode >= 0 && mode <= 2, "rounding mode {}", mode);
  if (std::isnan(value) || value < 0) return kE8M0NaN;
  if (std::isinf(value)) return saturate ? kE8M0Largest : kE8M0NaN;
  if (value < 0x1p-127f) return saturate ? 0 : kE8M0NaN;
  int exponent = std::ilogb(value);
  const float rest = std::ldexp(value, -exponent) - 1.0f;  // in [0, 1)
  const bool up = mode == 0 ? rest > 0 : mode == 2 && rest >= 0.5f;
  if (up) ++exponent;
  if (exponent > 127) return saturate ? kE8M0Largest : kE8M0NaN;
  return static_cast<uint8_t>(exponent + 127);
}

}  // namespace gannet
