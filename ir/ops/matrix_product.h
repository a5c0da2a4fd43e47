// numpy's matrix product over plain arrays: batches broadcast, operands of rank 1 are a row and a column.
#pragma once

#include <vector>

#include "ir/base/dim.h"
#include "ir/base/error.h"

namespace gannet {

template <class T>
struct MatmulOperand {
  const T* data = nullptr;
  const std::vector<int64_t>& extents;
};

// The shape of the product; an error when inner extents differ or batches do not broadcast.
Result<Shape> matmul_shape(Shape a, Shape b);
// Writes the product of operands whose shapes fit. T is float, double, uint32_t or uint64_t.
template <class T>
void matmul(const MatmulOperand<T>& a, const MatmulOperand<T>& b, T* y);

}  // namespace gannet
