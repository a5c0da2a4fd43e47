// Weights inside the bodies of If, Loop and Scan come out, so that a training step can own them.
#pragma once

#include <functional>

#include "ir/base/error.h"
#include "ir/graph.h"

namespace gannet {

// Every Constant in a subgraph of `node`, at any depth, that `is_weight` accepts becomes a Constant in front
// of `node` with the same tensor and origin, and a capture of the subgraphs in between. `node` must be of an
// op with captures.
void lift_weights(Node& node, const std::function<bool(const Value&)>& is_weight);

}  // namespace gannet
