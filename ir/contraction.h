// Matrix products: the one contraction that MatMul, Gemm, Einsum and the convolutions share.
//
// Blocked for caches in the manner of K. Goto and R. van de Geijn, "Anatomy of high-performance matrix
// multiplication" (2008): panels of both operands are packed, and a tile of the result is kept in vector
// registers. One thread; the order of summation depends on nothing but the extents and the instruction set.
#pragma once

#include <cstdint>
#include <functional>

namespace gannet {

// result[m, n] = sum over k of left[m, k] * right[k, n].
struct ProductExtents {
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
};

// Element (i, j) stands at data[i * row_stride + j * column_stride]; a transposed matrix has the strides
// swapped.
template <class T>
struct MatrixView {
  const T* data = nullptr;
  int64_t row_stride = 0;
  int64_t column_stride = 1;
};

// Rows of consecutive elements, `row_stride` apart, that a product is written to or added to.
template <class T>
struct ProductTarget {
  T* data = nullptr;
  int64_t row_stride = 0;
  bool accumulate = false;
};

// A right operand that is made where it is needed: writes `count` elements of row `row` from column `column`
// on.
template <class T>
using RowSource = std::function<void(int64_t row, int64_t column, int64_t count, T* elements)>;

// T is float, double, uint32_t or uint64_t; integers wrap, so signed ones are multiplied as unsigned ones.
// With k = 0 the product is zero. The target must not overlap the operands.
template <class T>
void multiply(const ProductExtents& extents, MatrixView<T> left, MatrixView<T> right,
              ProductTarget<T> target);
template <class T>
void multiply(const ProductExtents& extents, MatrixView<T> left, const RowSource<T>& right,
              ProductTarget<T> target);

}  // namespace gannet
