// Folding while importing: what computes nothing but dimensions becomes a Constant or a Dims node, so that no
// shape arithmetic is left to run.
#pragma once

#include <string>
#include <unordered_set>

#include "ir/base/limits.h"
#include "ir/graph.h"

namespace gannet {

struct FoldOptions {
  Limits limits;
  // Symbols of the model's inputs. Those of data-dependent extents are bound only where the node that makes
  // them runs, so that what is computed from them stays a computation.
  const std::unordered_set<std::string>* bound_symbols = nullptr;
};

// If the only result of `node` (just inferred) is known as dimensions of bound symbols, or it computes from
// small constants that are no weights, puts a Constant or Dims node in its place and returns that one's
// value; else null.
Value* fold_node(Graph& graph, Node* node, const FoldOptions& options);
// The same for every node of `graph` and of its subgraphs; linear in nodes.
void fold_graph(Graph& graph, const FoldOptions& options);

}  // namespace gannet
