// The values of the scalar primitives for one element, as scalar.def writes them. Integers wrap around and never trap:
// a division by zero gives 0.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace gannet::scalar_functions {

template <class T> inline constexpr bool kIsInteger = std::is_integral_v<T> && !std::is_same_v<T, bool>;

template <class T>
T wrap_add(T x, T y) {
  if constexpr (kIsInteger<T>) return static_cast<T>(static_cast<uint64_t>(x) + static_cast<uint64_t>(y));
  else return x + y;
}
template <class T>
T wrap_sub(T x, T y) {
  if constexpr (kIsInteger<T>) return static_cast<T>(static_cast<uint64_t>(x) - static_cast<uint64_t>(y));
  else return x - y;
}
template <class T>
T wrap_mul(T x, T y) {
  if constexpr (kIsInteger<T>) return static_cast<T>(static_cast<uint64_t>(x) * static_cast<uint64_t>(y));
  else return x * y;
}
template <class T>
T wrap_neg(T x) {
  if constexpr (kIsInteger<T>) return wrap_sub(T(0), x);
  else return -x;
}
template <class T>
T divide(T x, T y) {
  if constexpr (!kIsInteger<T>) return x / y;
  else {
    if (y == 0) return 0;
    if constexpr (std::is_signed_v<T>) {
      if (y == T(-1)) return wrap_neg(x);
    }
    return static_cast<T>(x / y);
  }
}
template <class T>
T truncated_modulus(T x, T y) {
  if constexpr (!kIsInteger<T>) return std::fmod(x, y);
  else {
    if (y == 0) return 0;
    if constexpr (std::is_signed_v<T>) {
      if (y == T(-1)) return 0;
    }
    return static_cast<T>(x % y);
  }
}
template <class T>
T floor_modulus(T x, T y) {
  T r = truncated_modulus(x, y);
  if constexpr (std::is_unsigned_v<T>) return r;
  else return r != 0 && ((r < 0) != (y < 0)) ? static_cast<T>(r + y) : r;
}
// NaN wins over every number.
template <class T>
T maximum(T x, T y) {
  if constexpr (std::is_floating_point_v<T>) return x != x ? x : (x > y || y != y ? (y != y ? y : x) : y);
  else return x > y ? x : y;
}
template <class T>
T minimum(T x, T y) {
  if constexpr (std::is_floating_point_v<T>) return x != x ? x : (x < y || y != y ? (y != y ? y : x) : y);
  else return x < y ? x : y;
}
template <class T>
T absolute(T x) {
  if constexpr (std::is_floating_point_v<T>) return std::fabs(x);
  else if constexpr (std::is_unsigned_v<T>) return x;
  else return x < 0 ? wrap_neg(x) : x;
}
template <class T>
T signum(T x) {
  if constexpr (std::is_floating_point_v<T>) return x != x ? x : T((x > 0) - (x < 0));
  else return static_cast<T>((x > 0) - (x < 0));
}
template <class T>
T stable_sigmoid(T x) {
  if (x >= 0) return T(1) / (T(1) + std::exp(-x));
  T e = std::exp(x);
  return e / (T(1) + e);
}
template <class T>
T stable_softplus(T x) {
  return maximum(x, T(0)) + std::log1p(std::exp(-std::fabs(x)));
}
// Exact for integer exponents of integers; otherwise through f64.
template <class T, class U>
T integer_power(T base, U exponent) {
  if (exponent < U(0)) {
    if (base == 1) return 1;
    if constexpr (std::is_signed_v<T>) {
      if (base == T(-1)) return exponent % 2 ? T(-1) : T(1);
    }
    return 0;
  }
  T result = 1;
  for (; exponent > U(0); exponent = static_cast<U>(exponent >> 1)) {
    if (exponent & 1) result = wrap_mul(result, base);
    base = wrap_mul(base, base);
  }
  return result;
}
// x^y in the type of x.
template <class T, class U>
T power(T x, U y) {
  if constexpr (std::is_floating_point_v<T>) {
    if (y == U(2)) return x * x;
    return static_cast<T>(std::pow(x, static_cast<T>(y)));
  } else if constexpr (kIsInteger<U>) {
    return integer_power(x, y);
  } else {
    double r = std::pow(static_cast<double>(x), static_cast<double>(y));
    constexpr double kLow = static_cast<double>(std::numeric_limits<T>::lowest());
    constexpr double kPastHighest = static_cast<double>(std::numeric_limits<T>::max() / 2 + 1) * 2;
    return r >= kLow && r < kPastHighest ? static_cast<T>(r) : T(0);
  }
}
template <class T>
T shift_left_bits(T x, T y) {
  if (y < 0 || static_cast<uint64_t>(y) >= sizeof(T) * 8) return 0;
  return static_cast<T>(static_cast<uint64_t>(x) << y);
}
template <class T>
T shift_right_bits(T x, T y) {
  if (y < 0 || static_cast<uint64_t>(y) >= sizeof(T) * 8) return x < 0 ? static_cast<T>(-1) : T(0);
  return static_cast<T>(x >> y);
}

}  // namespace gannet::scalar_functions
