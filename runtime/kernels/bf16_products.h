// Products of matrices of bf16 with sums in f32, for CPUs with AVX512_BF16. The right side is packed first: in panels of 32
// columns, [panel][pair of rows][column][row of the pair], with zeros behind the last column and the last row. Sums have an order
// that depth alone fixes. Denormal operands count as 0.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gannet {

struct Bf16Matrix {
  const uint16_t* first = nullptr;
  int64_t row = 0, column = 0;  // elements from row to row and from column to column
};

// Where a product goes: rows of neighbours, f32 or rounded to bf16.
struct ProductResult {
  std::byte* first = nullptr;
  int64_t row = 0;  // elements from row to row
  bool is_bf16 = false;
};

struct Bf16Products {
  static constexpr int64_t kPanel = 32;

  // Elements of a packed matrix.
  static int64_t packed_size(int64_t depth, int64_t columns) {
    return (columns + kPanel - 1) / kPanel * kPanel * ((depth + 1) / 2 * 2);
  }
  // Of [depth, columns], of which a column or a row must lie together: x.row or x.column is 1, or there is one row or one column.
  void (*pack)(int64_t depth, int64_t columns, const Bf16Matrix& x, uint16_t* packed) = nullptr;
  // y = a b with a [rows, depth], whose rows are `a_row` elements apart. Where depth is odd, rows of a have a finite element more.
  void (*multiply)(int64_t rows, int64_t columns, int64_t depth, const uint16_t* a, int64_t a_row, const uint16_t* packed,
                   const ProductResult& y) = nullptr;
};

// For this machine; null where it has no such instructions.
const Bf16Products* bf16_products();

}  // namespace gannet
