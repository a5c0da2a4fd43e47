// Gradients of whole graphs against central differences.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "ir/builder.h"

namespace gannet::test {

// Builds a result from operands.
using Model = std::function<Value*(GraphBuilder&, std::span<Value* const>)>;

struct GradientCheck {
  int order = 1;         // 2 differentiates the gradient once more
  bool symbolic = true;  // a second time with symbols for the extents: equal extents, equal symbols
  double tolerance = 1e-6;
  bool fixed_weights = false;  // integer extents for all but the first input in any case
};

// Differentiates a weighted sum of the model's result with respect to each f64 input and compares with
// central differences; others stay as they are. The graph with its gradient must verify, and print and parse
// to itself.
void expect_gradients(const std::string& what, const Model& model, const std::vector<Tensor>& inputs,
                      const GradientCheck& check = {});

// The gradients of the sum of the model's result at `inputs` (f64), in their order.
std::vector<Tensor> gradients_of(const Model& model, const std::vector<Tensor>& inputs);

}  // namespace gannet::test
