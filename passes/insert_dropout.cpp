#include "passes/insert_dropout.h"

#include <algorithm>
#include <set>
#include <vector>

#include "ir/builder.h"
#include "ir/op.h"
#include "passes/transformer_places.h"
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

struct Place {
  Node* node;
  Value* value;
  const DropoutRule* rule;
};

// The first rule that holds for `value`; null when none does.
const DropoutRule* rule_for(std::span<const DropoutRule> rules, const Value& value,
                            const std::set<const Value*>& transformer) {
  const auto found = std::ranges::find_if(rules, [&](const DropoutRule& rule) {
    if (rule.pattern == kTransformerDropout) return transformer.contains(&value);
    return matches_pattern(rule.pattern, value.producer()->name) || matches_pattern(rule.pattern, value.name);
  });
  return found == rules.end() ? nullptr : &*found;
}

std::vector<Place> find_places(const Graph& graph, std::span<const DropoutRule> rules) {
  std::set<const Value*> transformer;
  if (std::ranges::find(rules, kTransformerDropout, &DropoutRule::pattern) != rules.end()) {
    const std::vector<Value*> places = transformer_places(graph);
    transformer.insert(places.begin(), places.end());
  }
  std::vector<Place> places;
  for (const auto& node : graph.nodes()) {
    if (node->op().name == "Constant") continue;
    for (Value* value : node->outputs()) {
      if (!value || !value->type.is_tensor() || !is_float(value->type.dtype)) continue;
      if (const DropoutRule* rule = rule_for(rules, *value, transformer)) places.push_back({node.get(), value, rule});
    }
  }
  return places;
}

}  // namespace

Result<int64_t> insert_dropout(Graph& graph, std::span<const DropoutRule> rules, Value* seed) {
  for (const DropoutRule& rule : rules) {
    if (rule.ratio >= 0 && rule.ratio < 1) continue;
    return invalid_input(fmt::format("the dropout ratio of '{}' must be at least 0 and below 1, got {}",
                                     rule.pattern, rule.ratio));
  }
  const std::vector<Place> places = find_places(graph, rules);
  for (const DropoutRule& rule : rules) {
    if (std::ranges::find(places, &rule, &Place::rule) != places.end()) continue;
    if (rule.pattern == kTransformerDropout)
      return invalid_input("dropout is to be inserted where transformers have it, and no attention was found");
    return invalid_input(fmt::format("no node and no value matches '{}', dropout is to be inserted there",
                                     rule.pattern));
  }
  int64_t count = 0;
  for (const Place& place : places) {
    if (place.rule->ratio > 0) TRY(insert_behind(graph, place.node, place.value, place.rule->ratio, count++, seed));
  }
  return count;
}

}  // namespace gannet
