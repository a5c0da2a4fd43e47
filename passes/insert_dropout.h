// Dropout where an inference export has none any more.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "ir/base/error.h"
#include "ir/graph.h"

namespace gannet {

// As a rule's pattern: all places of transformer_places.h.
inline constexpr std::string_view kTransformerDropout = "transformer";

struct DropoutRule {
  std::string pattern;  // of node names and of names of values: '*' and '?'; or kTransformerDropout
  double ratio = 0.1;   // share of elements that become 0; at least 0, below 1
};

// Behind each floating point result of a node of `graph` (not of its subgraphs) whose node or value name
// matches a rule, the first one counting, all uses read a SeededDropout of it with the rule's ratio; each has
// a stream of its own. A Dropout of the file that matches by name is replaced. `seed` is an i64 scalar of the
// graph. Constants are left alone, and so is what a rule with a ratio of 0 matches. Returns how many there are; an error when a rule matches nothing or its
// ratio is out of range.
Result<int64_t> insert_dropout(Graph& graph, std::span<const DropoutRule> rules, Value* seed);

}  // namespace gannet
