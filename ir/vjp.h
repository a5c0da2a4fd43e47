// Gradients, one node at a time: a vector-Jacobian product builds, from the gradients of a node's outputs, the
// gradients of its operands, as more nodes of the same graph.
#pragma once

#include <functional>
#include <vector>

#include "ir/builder.h"
#include "ir/graph.h"

namespace gannet {

// A value and the gradient of the loss with respect to it.
struct ValueGradient {
  Value* value = nullptr;
  Value* gradient = nullptr;
};
// Appends to a subgraph the gradients with respect to `variables` that follow from those given; null for one that none
// of the values depends on. Values may be replaced on the way, those of outputs and inputs of the graph are followed.
using Backpropagate = std::function<Result<std::vector<Value*>>(Graph& body, std::vector<ValueGradient> given,
                                                                std::vector<Value*> variables)>;

class VjpContext {
 public:
  VjpContext(GraphBuilder& graph_builder, const Node& forward_node, std::vector<Value*> output_gradients,
             Backpropagate through_bodies = {})
      : b(graph_builder), backpropagate(std::move(through_bodies)), node_(forward_node), gradients_(std::move(output_gradients)),
        results_(forward_node.inputs().size()) {}

  GraphBuilder& b;
  Backpropagate backpropagate;  // for ops with subgraphs
  const Node& node() const { return node_; }
  const Attributes& attrs() const { return node_.attrs; }
  Value* operand(size_t i) const { return node_.input(i); }
  Value* output(size_t i = 0) const { return node_.output(i); }
  // The gradient of output i; null when nothing depends on it.
  Value* gradient(size_t i = 0) const { return i < gradients_.size() ? gradients_[i] : nullptr; }
  // Whether operand i is present and carries_gradient, so that a gradient for it can matter.
  bool wants(size_t i) const;
  // Sets the gradient of operand i, of the operand's shape and dtype.
  void set(size_t i, Value* gradient_value) { results_[i] = gradient_value; }
  const std::vector<Value*>& results() const { return results_; }

 private:
  const Node& node_;
  std::vector<Value*> gradients_;
  std::vector<Value*> results_;
};

// Whether gradients flow through values of this type: floats, and containers of them; and codes of quantized numbers,
// whose gradient (of the dtype they were quantized from) passes straight through the rounding.
bool carries_gradient(const Type& type);
// A sequence of what `make` builds, in a graph of its own, from each element of the sequences.
Value* map_elements(GraphBuilder& b, std::vector<Value*> sequences,
                    const std::function<Value*(GraphBuilder&, const std::vector<Value*>&)>& make);
// Zeros of the shape and dtype of `x`; for a sequence, of each element.
Value* zeros_like(GraphBuilder& b, Value* x);
// The sum of two gradients of one value: tensors, or sequences element by element.
Value* sum_of_gradients(GraphBuilder& b, Value* x, Value* y);

// The vjp of every elementwise op and of Map: derivatives of the scalar body, summed back over broadcast dimensions.
Status elementwise_vjp(VjpContext& context);

}  // namespace gannet
