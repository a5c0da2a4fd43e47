// A matrix product as kernels see it: what matmul.cpp makes of a recipe, and row_pieces.cpp computes in
// pieces.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "runtime/kernels/integer_sums.h"
#include "runtime/kernels/prepare.h"

namespace gannet {

// The operands of a product; the epilogue's layouts follow the recipe's steps.
struct ProductOperands {
  Layout x, w, y;
  std::optional<Layout> bias;
  std::vector<Layout> operands;
  std::vector<bool> has_operand;

  size_t rank() const { return y.rank(); }
};

struct ProductTerm {
  onednn::PostOp op;
  int32_t pointer = -1;
  Layout layout;
};

// Everything that making a product takes; `pointers` are those of the step.
struct ProductRequest {
  ProductOperands product;
  std::vector<ProductTerm> terms;
  bool bias_joins = false;  // the bias is the library's, not a term
  int64_t output = 0;
  IntegerParts integers;
};

Result<onednn::MatmulSpec> spec_of(const ProductRequest& r, bool packs);
// The same for `extent` positions of the result along `axis`.
ProductRequest piece_of(ProductRequest r, size_t axis, int64_t extent);

}  // namespace gannet
