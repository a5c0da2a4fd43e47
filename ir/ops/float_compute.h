// How ops over floats compute: in f64 when the operands are f64, else in f32. f16 and bf16 are storage:
// operands are widened before and results narrowed after, so that such ops have two instances and not four.
#pragma once

#include <cmath>
#include <limits>
#include <utility>

#include "ir/base/tensor.h"

namespace gannet {

constexpr DType compute_dtype(DType dtype) { return dtype == DType::kF64 ? DType::kF64 : DType::kF32; }

// Calls visitor(Tag<double>{}) for f64 and visitor(Tag<float>{}) for every other dtype.
template <class Visitor>
decltype(auto) visit_compute(DType dtype, Visitor&& visitor) {
  if (dtype == DType::kF64) return visitor(Tag<double>{});
  return visitor(Tag<float>{});
}

// `tensor` itself when it has `dtype`, else converted.
inline Result<Tensor> as_dtype(const Tensor& tensor, DType dtype) {
  if (tensor.dtype() == dtype) return tensor;
  return convert(tensor, dtype);
}

inline Result<Tensor> widened(const Tensor& tensor) {
  return as_dtype(tensor, compute_dtype(tensor.dtype()));
}

// A number as an element of type T; for integers NaN becomes 0 and what is out of range the nearest bound.
template <class T>
T saturating_cast(double value) {
  if constexpr (std::is_integral_v<T>) {
    if (std::isnan(value)) return T(0);
    if (value >= static_cast<double>(std::numeric_limits<T>::max())) return std::numeric_limits<T>::max();
    if (value <= static_cast<double>(std::numeric_limits<T>::lowest()))
      return std::numeric_limits<T>::lowest();
    return static_cast<T>(value);
  } else {
    return T(value);
  }
}

// A tensor seen as [outer, length, inner] around one axis.
struct AxisView {
  int64_t outer = 1;
  int64_t length = 1;
  int64_t inner = 1;
};

inline AxisView view_axis(std::span<const int64_t> extents, int64_t axis) {
  AxisView view;
  for (int64_t i = 0; i < static_cast<int64_t>(extents.size()); ++i) {
    int64_t extent = extents[static_cast<size_t>(i)];
    if (i < axis)
      view.outer *= extent;
    else if (i == axis)
      view.length = extent;
    else
      view.inner *= extent;
  }
  return view;
}

}  // namespace gannet
