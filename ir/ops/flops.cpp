#include "ir/ops/flops.h"

#include "ir/graph.h"
#include "ir/op.h"

namespace gannet {

namespace {

Dim elements_of(const Value* value) {
  return value && value->type.shape ? element_count(*value->type.shape) : Dim(0);
}

Dim extent(const Value* value, int64_t axis) {
  const Shape& shape = *value->type.shape;
  int64_t at = axis < 0 ? axis + static_cast<int64_t>(shape.size()) : axis;
  return at >= 0 && at < static_cast<int64_t>(shape.size()) ? shape[static_cast<size_t>(at)] : Dim(1);
}

}  // namespace

Dim matmul_flops(const Node& node) { return Dim(2) * elements_of(node.output()) * extent(node.input(0), -1); }

Dim gemm_flops(const Node& node) {
  Dim depth = extent(node.input(0), node.attrs.integer("transA") ? 0 : 1);
  Dim sum = node.input(2) ? elements_of(node.output()) : Dim(0);
  return Dim(2) * elements_of(node.output()) * depth + sum;
}

Dim conv_flops(const Node& node) {
  return Dim(2) * elements_of(node.output()) * floordiv(elements_of(node.input(1)), extent(node.input(1), 0));
}

Dim conv_transpose_flops(const Node& node) {
  return Dim(2) * elements_of(node.input(0)) * floordiv(elements_of(node.input(1)), extent(node.input(1), 0));
}

Dim conv_input_gradient_flops(const Node& node) {
  return Dim(2) * elements_of(node.input(0)) * floordiv(elements_of(node.input(1)), extent(node.input(1), 0));
}

Dim conv_weight_gradient_flops(const Node& node) {
  return Dim(2) * elements_of(node.input(1)) * floordiv(elements_of(node.output()), extent(node.output(), 0));
}

Dim recurrent_flops(const Node& node) {
  Dim steps = extent(node.input(0), 0) * extent(node.input(0), 1);
  return Dim(2) * steps * (elements_of(node.input(1)) + elements_of(node.input(2)));
}

// The layer once more, then twice as much on the way back.
Dim recurrent_gradient_flops(const Node& node) { return Dim(3) * recurrent_flops(node); }

Dim attention_flops(const Node& node) {
  // Queries against keys, then weights against values: each 2 a pair and channel.
  return Dim(4) * elements_of(node.input(0)) * extent(node.input(1), -2);
}

Dim one_per_operand_element(const Node& node) { return elements_of(node.input(0)); }

}  // namespace gannet
