// A node once more, in its graph or in another.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "ir/graph.h"

namespace gannet {

using ValueCopies = std::unordered_map<const Value*, Value*>;  // original -> copy

// What goes in front of the names of a copy.
struct CopyPrefixes {
  std::string node = {};                    // nodes without a name stay so
  std::optional<std::string> values = "";   // null: outputs get names that the graph makes
};

// The attributes of `node`, with subgraphs of their own.
Attributes copied_attributes(const Node& node);

// Adds a copy of `node` that reads `operands` in front of `before` (null: at the end). It has the sources of the original,
// its outputs the types and the contents; `copies` gets them.
Node* copy_node(Graph& graph, const Node& node, std::vector<Value*> operands, ValueCopies& copies, const CopyPrefixes& prefixes = {},
                Node* before = nullptr);

}  // namespace gannet
