// Gradients, one node at a time: a vector-Jacobian product builds, from the gradients of a node's outputs, the
// gradients of its operands, as more nodes of the same graph.
#pragma once

#include <vector>

#include "ir/builder.h"
#include "ir/graph.h"

namespace gannet {

class VjpContext {
 public:
  VjpContext(GraphBuilder& graph_builder, const Node& forward_node, std::vector<Value*> output_gradients)
      : b(graph_builder), node_(forward_node), gradients_(std::move(output_gradients)), results_(forward_node.inputs().size()) {}

  GraphBuilder& b;
  const Node& node() const { return node_; }
  const Attributes& attrs() const { return node_.attrs; }
  Value* operand(size_t i) const { return node_.input(i); }
  Value* output(size_t i = 0) const { return node_.output(i); }
  // The gradient of output i; null when nothing depends on it.
  Value* gradient(size_t i = 0) const { return i < gradients_.size() ? gradients_[i] : nullptr; }
  // Whether operand i is present and of a float dtype, so that a gradient for it can matter.
  bool wants(size_t i) const;
  // Sets the gradient of operand i, of the operand's shape and dtype.
  void set(size_t i, Value* gradient_value) { results_[i] = gradient_value; }
  const std::vector<Value*>& results() const { return results_; }

 private:
  const Node& node_;
  std::vector<Value*> gradients_;
  std::vector<Value*> results_;
};

// The vjp of every elementwise op and of Map: derivatives of the scalar body, summed back over broadcast dimensions.
Status elementwise_vjp(VjpContext& context);

}  // namespace gannet
