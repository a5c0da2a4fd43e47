// Folding while importing: what computes nothing but dimensions becomes a Constant or a Dims node, so that no shape
// arithmetic is left to run.
#pragma once

#include "ir/base/limits.h"
#include "ir/graph.h"

namespace gannet {

// If all results of `node` (just inferred, without uses) are known dimensions, or it computes from small constants
// that are no weights, erases it and returns what stands for its only result; else null.
Value* fold_node(Graph& graph, Node* node, const Limits& limits);
// The same for every node of `graph` and of its subgraphs; linear in nodes.
void fold_graph(Graph& graph);

}  // namespace gannet
