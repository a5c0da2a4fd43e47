#include "ir/contraction.h"

#include <gtest/gtest.h>

#include <vector>

namespace gannet {
namespace {

// Small whole numbers, so that sums are exact in every order.
template <class T>
std::vector<T> numbers(size_t count, uint32_t seed) {
  std::vector<T> values(count);
  for (T& value : values) {
    seed = seed * 1664525u + 1013904223u;
    value = static_cast<T>(static_cast<int>(seed >> 24) % 7 - 3);
  }
  return values;
}

template <class T>
void compare(const ProductExtents& e, bool left_transposed, bool right_transposed, bool accumulate) {
  const std::vector<T> a = numbers<T>(static_cast<size_t>(e.m * e.k), 1),
                       b = numbers<T>(static_cast<size_t>(e.k * e.n), 2);
  const MatrixView<T> left =
      left_transposed ? MatrixView<T>{a.data(), 1, e.m} : MatrixView<T>{a.data(), e.k, 1};
  const MatrixView<T> right =
      right_transposed ? MatrixView<T>{b.data(), 1, e.k} : MatrixView<T>{b.data(), e.n, 1};
  const int64_t stride = e.n + 3;  // the target may be a part of something wider
  std::vector<T> expected(static_cast<size_t>(e.m * stride), T(5)), actual = expected, from_rows = expected;
  for (int64_t i = 0; i < e.m; ++i) {
    for (int64_t j = 0; j < e.n; ++j) {
      T sum = accumulate ? T(5) : T(0);
      for (int64_t p = 0; p < e.k; ++p) {
        sum += left.data[i * left.row_stride + p * left.column_stride] *
               right.data[p * right.row_stride + j * right.column_stride];
      }
      expected[static_cast<size_t>(i * stride + j)] = sum;
    }
  }
  multiply<T>(e, left, right, {actual.data(), stride, accumulate});
  const RowSource<T> rows = [&](int64_t row, int64_t column, int64_t count, T* elements) {
    for (int64_t j = 0; j < count; ++j)
      elements[j] = right.data[row * right.row_stride + (column + j) * right.column_stride];
  };
  multiply<T>(e, left, rows, {from_rows.data(), stride, accumulate});
  EXPECT_EQ(actual, expected) << e.m << " x " << e.n << " x " << e.k << (left_transposed ? " A^T" : "")
                              << (right_transposed ? " B^T" : "");
  EXPECT_EQ(from_rows, expected) << e.m << " x " << e.n << " x " << e.k;
}

template <class T>
void compare_all() {
  constexpr int64_t kExtents[][3] = {{1, 1, 1},      {3, 5, 7},   {1, 700, 300}, {12, 64, 20}, {13, 65, 257},
                                     {150, 40, 600}, {2, 600, 1}, {5, 3, 0},     {0, 4, 4}};
  for (const auto& e : kExtents) {
    for (int mask = 0; mask < 8; ++mask) compare<T>({e[0], e[1], e[2]}, mask & 1, mask & 2, mask & 4);
  }
}

TEST(Contraction, IsTheSumOfProducts) {
  compare_all<float>();
  compare_all<double>();
  compare_all<uint32_t>();
  compare_all<uint64_t>();
}

}  // namespace
}  // namespace gannet
