// The nodes around Transposes by one permutation that can work on permuted operands, and which of them had better do so.
#pragma once

#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "ir/graph.h"
#include "passes/permute_node.h"

namespace gannet {

bool is_transpose(const Node* node);
// Ops that take Transposes of their operands and of their result into their own strides.
bool is_contraction(const Node* node);
// What transposing `value` by `p` costs, in bytes; 0 where nothing moves.
int64_t transpose_cost(const Value& value, const Permutation& p);

// Nodes that may be permuted together, and the permuted layouts of their values.
struct TransposeRegion {
  std::vector<Node*> nodes;
  std::unordered_map<const Node*, NodeLayouts> layouts;
  std::unordered_map<const Value*, Permutation> layout_of;
  std::vector<Value*> values;  // the keys of layout_of in the order of discovery
};

// The region around `start` in which it is permuted by `p`, of nodes that are not in `visited`, to which they are added.
TransposeRegion grow_region(Value* start, const Permutation& p, std::unordered_set<const Node*>& visited);
// The nodes that are permuted in the choice that moves the fewest bytes, a minimum cut; none when what is there is as good.
// `results` are values that must keep their layout.
std::vector<Node*> nodes_to_permute(const TransposeRegion& region, const std::unordered_set<const Value*>& results);
// Builds `nodes` of the region, in topological order, anew in their permuted form (permute_region.cpp).
Status permute_nodes(Graph& graph, const TransposeRegion& region, const std::vector<Node*>& nodes);

}  // namespace gannet
