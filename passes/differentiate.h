// Reverse-mode differentiation: Graph -> Graph. The gradient is more nodes of the same graph, built from each op's
// vjp, so whatever optimizes, plans and compiles a graph does so for its gradient, and the transformation applies to
// its own output.
#pragma once

#include <span>
#include <vector>

#include "ir/base/error.h"
#include "ir/graph.h"
#include "ir/vjp.h"

namespace gannet {

// Appends to `graph` the gradients of `loss` (one float element) with respect to each of `variables`, and returns
// them in that order; null for one that `loss` does not depend on differentiably. Only nodes between the variables
// and the loss are visited; those defined by decomposition are decomposed in place first, so `loss` itself may be
// replaced: what is to be read afterwards must be an output of the graph before. Errors name the node whose op has no
// gradient rule.
Result<std::vector<Value*>> differentiate(Graph& graph, Value* loss, std::span<Value* const> variables);

// The same from gradients that are known: of a loss with respect to `given` values, each taken as if the others and their
// gradients did not depend on the variables. So the gradient of a part of a graph goes on through another part.
Result<std::vector<Value*>> backpropagate(Graph& graph, std::vector<ValueGradient> given, std::vector<Value*> variables);

}  // namespace gannet
