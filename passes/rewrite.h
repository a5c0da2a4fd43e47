// Replacing one node at a time. A rule looks at a node and its operands and builds a replacement before the
// node; the driver puts it in place, keeps names, and goes on until no rule applies. Rules never look at uses
// further down, so one sweep in topological order is nearly all it takes.
#pragma once

#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/builder.h"
#include "ir/graph.h"

namespace gannet {

// What a rule sees.
struct Rewrite {
  Graph& graph;
  Node* node;
  GraphBuilder b;  // new nodes go before `node`
  const std::set<std::string>& bound_symbols;
  bool changed = false;  // a rule that edits the node in place sets it

  Value* operand(size_t i) const { return node->input(i); }
  const Type& type() const { return node->output()->type; }
  // True where a Dims leaf of this shape can be evaluated: the graph's inputs bind its symbols.
  bool can_state(std::span<const Dim> shape) const;
};

// The value that takes the place of the node's only used result, or null when the rule does not apply (or has
// edited the node in place).
using RewriteRule = Value* (*)(Rewrite&);

struct RewriteRow {
  std::string_view op;  // "" for a rule that applies to any op
  RewriteRule rule;
};

// Applies `rules` to all nodes of `graph` in order until none applies. Nodes that lose their last use go.
// True when anything changed. A replacement that does not infer, or has another type than what it replaces,
// is dropped.
bool rewrite_graph(Graph& graph, std::span<const RewriteRow> rules);

// Symbols whose values are known as soon as the inputs of `graph` are.
std::set<std::string> symbols_of_inputs(const Graph& graph);

// The number that all elements of a Constant are; nothing for other values and empty tensors. Looks at no
// more than 4096 elements.
std::optional<double> constant_number(const Value* value);
// As constant_number, for a Constant of one element.
std::optional<double> single_number(const Value* value);
bool is_constant(const Value* value);
// True for a value that has one use and is no result of the graph.
bool has_one_use(const Value* value);
// The producer of `value` when it is a node of `op`, else null.
Node* producer_of(const Value* value, std::string_view op);

}  // namespace gannet
