#include "passes/live_values.h"

#include <algorithm>

namespace gannet {

LiveValues::LiveValues(const Graph& graph) {
  for (const auto& node : graph.nodes()) {
    positions_[node.get()] = static_cast<int64_t>(order_.size());
    order_.push_back(node.get());
  }
  for (const GraphOutput& output : graph.outputs) results_[output.value] = true;
  for (const State& state : graph.states) {
    if (state.out) results_[state.out] = true;
  }
}

int64_t LiveValues::made(const Value* value) const {
  return value->producer() && !value->constant() ? position(value->producer()) : -1;
}

int64_t LiveValues::last_use(const Value* value) const {
  if (results_.contains(value)) return static_cast<int64_t>(order_.size());
  int64_t last = made(value);
  for (const Use& use : value->uses()) last = std::max(last, position(use.node));
  return last;
}

Node* LiveValues::next_use(const Value* value, int64_t after) const {
  Node* next = nullptr;
  for (const Use& use : value->uses()) {
    if (position(use.node) > after && (!next || position(use.node) < position(next))) next = use.node;
  }
  return next;
}

bool LiveValues::is_used_at(const Value* value, int64_t at) const {
  return std::ranges::any_of(value->uses(), [&](const Use& use) { return position(use.node) == at; });
}

}  // namespace gannet
