// Storage formats narrower than f32: IEEE half, bfloat16, the float8 family, float4, and sub-byte integers.
// They are storage only: every computation widens to f32 first. In memory each element takes at least one byte;
// packing of 4- and 2-bit elements happens in files.
#pragma once

#include <cstdint>

namespace gannet {

// Bit-exact conversions, round to nearest even. Overflow gives infinity where the format has one, else NaN
// (float8 FN and FNUZ without saturation; saturation is a property of the Cast op).
float half_to_float(uint16_t bits);
uint16_t float_to_half(float value);
uint16_t double_to_half(double value);
// Rounds to odd: whatever format is reached from the result is rounded only once (S. Boldo, G. Melquiond, 2008).
float double_to_float_odd(double value);
float bfloat16_to_float(uint16_t bits);
uint16_t float_to_bfloat16(float value);

// Parameters of a small binary float format without subnormal tricks: enough to describe the float8 and float4 kinds.
enum class SmallFloat { kE4M3FN, kE4M3FNUZ, kE5M2, kE5M2FNUZ, kE8M0, kE2M1 };
float small_float_to_float(SmallFloat format, uint8_t bits);
// With `saturate`, values beyond the largest finite one become it; otherwise they become infinity or NaN.
// E8M0 rounds up. E2M1 has neither infinity nor NaN: it always saturates, and NaN becomes -0.
uint8_t float_to_small_float(SmallFloat format, float value, bool saturate);
// Float8E8M0 has only powers of two: `mode` is 0 to round up, 1 down, 2 to nearest with ties up. What is negative, and
// without `saturate` what is out of range (zero too), becomes NaN.
uint8_t float_to_e8m0(float value, bool saturate, int mode);

struct Half {
  uint16_t bits = 0;
  Half() = default;
  explicit Half(float value) : bits(float_to_half(value)) {}
  explicit Half(double value) : bits(double_to_half(value)) {}
  operator float() const { return half_to_float(bits); }
};

struct BFloat16 {
  uint16_t bits = 0;
  BFloat16() = default;
  explicit BFloat16(float value) : bits(float_to_bfloat16(value)) {}
  operator float() const { return bfloat16_to_float(bits); }
};

template <SmallFloat format>
struct SmallFloatStorage {
  uint8_t bits = 0;
  SmallFloatStorage() = default;
  explicit SmallFloatStorage(float value) : bits(float_to_small_float(format, value, false)) {}
  operator float() const { return small_float_to_float(format, bits); }
};

// A narrow integer kept in a byte of its own; the constructor keeps the low bits, as the ONNX cast does.
template <int width, bool is_signed>
struct NarrowInt {
  int8_t value = 0;
  NarrowInt() = default;
  explicit NarrowInt(int64_t wide) {
    uint8_t low = static_cast<uint8_t>(wide) & ((1u << width) - 1);
    value = is_signed && (low >> (width - 1)) ? static_cast<int8_t>(low - (1 << width)) : static_cast<int8_t>(low);
  }
  operator int() const { return value; }
};

}  // namespace gannet
