// Arithmetic on sizes that reports overflow instead of wrapping.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace gannet {

inline std::optional<int64_t> checked_add(int64_t a, int64_t b) {
  int64_t r;
  if (__builtin_add_overflow(a, b, &r)) return std::nullopt;
  return r;
}
inline std::optional<int64_t> checked_sub(int64_t a, int64_t b) {
  int64_t r;
  if (__builtin_sub_overflow(a, b, &r)) return std::nullopt;
  return r;
}
inline std::optional<int64_t> checked_mul(int64_t a, int64_t b) {
  int64_t r;
  if (__builtin_mul_overflow(a, b, &r)) return std::nullopt;
  return r;
}
// Product of all extents; nothing when it overflows or an extent is negative.
inline std::optional<int64_t> checked_product(std::span<const int64_t> extents) {
  int64_t product = 1;
  bool overflow = false, zero = false;
  for (int64_t extent : extents) {
    if (extent < 0) return std::nullopt;
    if (extent == 0) zero = true;
    else overflow |= __builtin_mul_overflow(product, extent, &product);
  }
  if (zero) return 0;
  if (overflow) return std::nullopt;
  return product;
}

}  // namespace gannet
