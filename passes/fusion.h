// Forming Fused nodes: several nodes become the body of one.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "ir/graph.h"

namespace gannet {

// Replaces `members`, nodes of one graph in topological order, by one Fused node of `kind` at the place of the last.
// Where a result of another member is used before that place, the caller sorts the nodes when it is done. The body holds copies of them, of those of their operands that are small integer or single-element Constants, and of
// the bodies of members that are Fused themselves. Results that are used outside become results of the Fused node, in
// order. No path between two members may lead through another node.
Result<Node*> fuse_nodes(Graph& graph, std::span<Node* const> members, std::string_view kind);

// Restores the order of nodes: operands before their uses, otherwise as they stand.
void sort_nodes(Graph& graph);

// True for a Fused node of this kind.
bool is_fused(const Node& node, std::string_view kind);
// The node that carries out the work of a Fused node's body: the only contraction or pooling in it; null for none.
const Node* principal_node(const Node& fused);
// Which operand of `node` is operand `i` of `core`, which is the node itself or stands in its body, behind Transposes; nothing
// where it is made inside.
std::optional<size_t> operand_position(const Node& node, const Node& core, size_t i);
// True for elementwise ops: a scalar body or a Map.
bool is_elementwise(const Node& node);

}  // namespace gannet
