// From a real number to an element of a quantized type: rounded to nearest even, shifted, and kept in range.
#pragma once

#include <cmath>
#include <type_traits>

#include "ir/base/dtype.h"

namespace gannet {

constexpr bool is_quantized(DType t) {
  return (is_small_float(t) && t != DType::kF8E8M0) ||
         (is_int(t) && t != DType::kI64 && t != DType::kU64 && t != DType::kI32 && t != DType::kU32);
}

template <class Q>
struct SmallFloatFormat {
  static constexpr bool known = false;
};
template <SmallFloat f>
struct SmallFloatFormat<SmallFloatStorage<f>> {
  static constexpr bool known = true;
  static constexpr SmallFloat format = f;
};
template <class Q>
inline constexpr bool is_narrow_int = false;
template <int width, bool is_signed>
inline constexpr bool is_narrow_int<NarrowInt<width, is_signed>> = true;

template <class Q>
inline constexpr bool can_quantize_to = SmallFloatFormat<Q>::known || is_narrow_int<Q> ||
                                        (std::is_integral_v<Q> && sizeof(Q) <= 2 && !std::is_same_v<Q, bool>);

class Quantizer {
 public:
  // `saturate` matters for float8: otherwise what is out of range becomes infinity or NaN.
  Quantizer(DType dtype, bool saturate) : saturate_(saturate) {
    if (!is_int(dtype)) return;
    const int64_t bits = element_bits(dtype);
    low_ = is_signed_int(dtype) ? -static_cast<double>(int64_t{1} << (bits - 1)) : 0;
    high_ = low_ + static_cast<double>((int64_t{1} << bits) - 1);
  }

  // `value` is x / scale. NaN becomes the zero point of an integer type.
  template <class Q, class T>
  Q quantize(T value, float zero) const {
    if constexpr (SmallFloatFormat<Q>::known) {
      Q result;
      result.bits = float_to_small_float(SmallFloatFormat<Q>::format,
                                         static_cast<float>(value + static_cast<T>(zero)), saturate_);
      return result;
    } else {
      T code = (value == value ? std::nearbyint(value) : T(0)) + static_cast<T>(zero);
      code = code < static_cast<T>(low_) ? static_cast<T>(low_) : code;
      code = code > static_cast<T>(high_) ? static_cast<T>(high_) : code;
      return static_cast<Q>(static_cast<int64_t>(code));
    }
  }

 private:
  bool saturate_;
  double low_ = 0, high_ = 0;
};

}  // namespace gannet
