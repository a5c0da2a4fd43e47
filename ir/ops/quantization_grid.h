// Which scale and zero point belong to which element: one for the whole tensor, one for each index along an
// axis, or one for each block along it.
#pragma once

#include "ir/infer.h"
#include "ir/ops/float_compute.h"

namespace gannet {

// Elements as [outer, length, inner] around the axis; the parameter of element (i, j, k) has the flat index
// i * outer_stride + j / block * block_stride + k * inner_stride.
struct QuantizationGrid {
  AxisView view;
  int64_t outer_stride = 0;
  int64_t block_stride = 0;
  int64_t inner_stride = 0;
  int64_t block = 1;

  // Calls visit(first element, first parameter, count, parameter stride) for each run of neighbours.
  template <class Visit>
  void for_each_run(Visit visit) const {
    if (view.length == 0 || view.inner == 0) return;
    for (int64_t i = 0; i < view.outer; ++i) {
      for (int64_t j = 0; j < view.length; ++j) {
        visit((i * view.length + j) * view.inner, i * outer_stride + j / block * block_stride, view.inner,
              inner_stride);
      }
    }
  }
};

// Checks scale (operand 1) and zero point (operand 2) against the tensor (operand 0) and the attributes axis
// and block_size.
Status check_quantization(const InferContext& c);
// For operands that check_quantization has accepted.
QuantizationGrid quantization_grid(const Attributes& attrs, std::span<const int64_t> extents,
                                   std::span<const int64_t> scale);

}  // namespace gannet
