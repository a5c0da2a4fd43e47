// Ops over one axis: softmax over flattened matrices, TopK with an attribute, DFT with an attribute.
#include <algorithm>

#include "frontend/upgrades.h"

namespace gannet::upgrades {

// Before opset 13 the input was seen as a matrix whose rows are the axes before `axis`.
Status flattened_softmax(UpgradeContext& c) {
  Value* x = TRY(required(c, 0));
  int64_t axis = TRY(c.attrs.take_or<int64_t>("axis", 1));
  if (const Shape* shape = c.shape(0)) {
    int64_t rank = static_cast<int64_t>(shape->size());
    axis = rank == 0 ? 0 : TRY(normalize_axis(axis, rank));
    bool is_matrix = true;
    for (int64_t i = axis + 1; i < rank; ++i)
      is_matrix = is_matrix && (*shape)[static_cast<size_t>(i)].is_constant(1);
    if (is_matrix) {
      c.attrs.set("axis", axis);
      return {};
    }
  }
  Value* rows = c.b.op("Flatten", {x}, {{"axis", axis}});
  Value* result = c.b.op(c.op, {rows}, {{"axis", int64_t{-1}}});
  c.set(0, c.b.op("Reshape", {result, c.b.op("Shape", {x})}, {{"allowzero", int64_t{1}}}));
  return {};
}

Status top_k_attr(UpgradeContext& c) {
  std::optional<int64_t> k = TRY(c.attrs.take<int64_t>("k"));
  if (k) c.set_operand(1, c.b.ints({*k}));
  return {};
}

Status dft_axis(UpgradeContext& c) {
  int64_t axis = TRY(c.attrs.take_or<int64_t>("axis", 1));
  c.set_operand(2, c.b.constant(Tensor::scalar(axis)));
  return {};
}

}  // namespace gannet::upgrades
