// The reference evaluator: runs a graph node by node through each op's own eval. It is what every fast path is
// compared with.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "ir/base/datum.h"
#include "ir/base/limits.h"
#include "ir/graph.h"

namespace gannet {

struct EvaluateOptions {
  Limits limits;
  uint64_t seed = 0;  // of random ops
  // Called after each node of the top graph with its results.
  std::function<void(const Node&, std::span<const Datum>)> observer;
};

struct EvaluateResult {
  std::vector<Datum> outputs;       // in the order of graph.outputs
  std::vector<Tensor> state_outputs;  // in the order of graph.states; what each State holds after the run
};

// Checks the inputs against the graph's input types (dtype, rank, extents, symbols that must agree), binds symbols,
// and evaluates. `states` holds the present values of graph.states (empty: their initial values). Errors name the
// input or the node. Memory of a value is released after its last use.
Result<EvaluateResult> evaluate(const Graph& graph, std::vector<Datum> inputs, const EvaluateOptions& options = {},
                                std::span<const Tensor> states = {});

// The values that `inputs` give to the symbols of the graph's input types; errors name the input and both extents.
Result<SymbolValues> bind_symbols(const Graph& graph, std::span<const Datum> inputs);

}  // namespace gannet
