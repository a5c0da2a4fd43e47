#include "passes/insert_dropout.h"

#include <vector>

#include "ir/builder.h"
#include "ir/op.h"
#include "passes/weights_to_state.h"

namespace gannet {

namespace {

Node* next_node(const Graph& graph, const Node* node) {
  bool passed = false;
  for (const auto& candidate : graph.nodes()) {
    if (passed) return candidate.get();
    passed = candidate.get() == node;
  }
  return nullptr;
}

Status insert_behind(Graph& graph, Node* node, Value* value, double ratio, int64_t stream, Value* seed) {
  Attributes attrs = {{"ratio", static_cast<float>(ratio)}, {"stream", stream}};
  bool replaces = node->op().name == "Dropout" && value == node->output(0);
  GraphBuilder b(graph, replaces ? node : next_node(graph, node),
                 "dropout/" + (node->name.empty() ? value->name : node->name));
  // Uses move to a stand-in first: the new node's own use of `value` must stay.
  Value* dropped = b.op("SeededDropout", {replaces ? node->input(0) : value, seed}, std::move(attrs));
  TRY(Status(b.status()));
  Node* made = dropped->producer();
  graph.replace_uses(value, dropped);
  if (!replaces) graph.set_operand(made, 0, value);
  return {};
}

}  // namespace

Result<int64_t> insert_dropout(Graph& graph, std::span<const DropoutRule> rules, Value* seed) {
  for (const DropoutRule& rule : rules) {
    if (rule.ratio >= 0 && rule.ratio < 1) continue;
    return invalid_input(fmt::format("the dropout ratio of '{}' must be at least 0 and below 1, got {}",
                                     rule.pattern, rule.ratio));
  }
  struct Place {
    Node* node;
    Value* value;
    double ratio;
  };
  std::vector<Place> places;
  std::vector<bool> used(rules.size());
  for (const auto& node : graph.nodes()) {
    if (node->op().name == "Constant") continue;
    for (Value* value : node->outputs()) {
      if (!value || !value->type.is_tensor() || !is_float(value->type.dtype)) continue;
      for (size_t i = 0; i < rules.size(); ++i) {
        if (!matches_pattern(rules[i].pattern, node->name) && !matches_pattern(rules[i].pattern, value->name))
          continue;
        used[i] = true;
        places.push_back({node.get(), value, rules[i].ratio});
        break;
      }
    }
  }
  for (size_t i = 0; i < rules.size(); ++i) {
    if (!used[i])
      return invalid_input(fmt::format("no node and no value matches '{}', dropout is to be inserted there",
                                       rules[i].pattern));
  }
  int64_t count = 0;
  for (const Place& place : places)
    TRY(insert_behind(graph, place.node, place.value, place.ratio, count++, seed));
  return count;
}

}  // namespace gannet
