// What contractions compute in: f64 and f32, and for integers 32 or 64 bits that wrap, so that the low bits
// are those of the exact sum for every narrower type, signed or not.
#pragma once

#include "ir/ops/float_compute.h"

namespace gannet {

constexpr DType contraction_dtype(DType dtype) {
  if (dtype == DType::kI64 || dtype == DType::kU64) return DType::kU64;
  if (is_int(dtype)) return DType::kU32;
  return compute_dtype(dtype);
}

// Calls visitor with the storage type of `dtype`, which is one of those that contraction_dtype gives.
template <class Visitor>
decltype(auto) visit_contraction(DType dtype, Visitor&& visitor) {
  switch (dtype) {
    case DType::kF64:
      return visitor(Tag<double>{});
    case DType::kU32:
      return visitor(Tag<uint32_t>{});
    case DType::kU64:
      return visitor(Tag<uint64_t>{});
    default:
      return visitor(Tag<float>{});
  }
}

}  // namespace gannet
