// Learning rates by how far a weight is from the output, and layers that wait until the head has learned.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "passes/optimizer.h"

namespace gannet {

// A rule for each State of `model` by its name: the factor that `given` (the first rule that matches) has for
// it, times `decay` to the number of layers behind it. A layer is a node with a weight of two or more
// dimensions; weights with fewer, such as biases and norms, belong to the layer before them. Weights that are
// not in `head` wait for `after` updates.
std::vector<RateRule> rates_by_layer(const Graph& model, std::span<const RateRule> given, double decay,
                                     const std::vector<std::string>& head, int64_t after);

}  // namespace gannet
