// What gives a State its next value moves to where its operands are known and the present value was read for the last time, in
// place of the end of the step: gradients then end as soon as they have been used, and are not alive all at once. Small values
// that follow from inputs and States alone (the rate, bias corrections) move to the front.
#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "ir/op.h"
#include "ir/view.h"
#include "passes/fusion.h"
#include "passes/pass.h"

namespace gannet {

namespace {

constexpr int64_t kFront = -1;

bool is_small(const Value& value) {
  constexpr int64_t kMostElements = 16;
  if (!value.type.is_tensor() || !value.type.shape) return false;
  const Dim count = element_count(*value.type.shape);
  return count.is_constant() && count.constant() <= kMostElements;
}

bool may_share(const Node& node) {
  const std::string_view op = node.op().name;
  return is_view(node) || op == "Transpose" || op == "Slice" || op == "Split";
}

class Scheduler {
 public:
  explicit Scheduler(const Graph& graph) {
    for (const auto& node : graph.nodes()) {
      places_[node.get()] = static_cast<int64_t>(order_.size());
      order_.push_back(node.get());
    }
    for (const State& state : graph.states) {
      if (state.out == state.in || !state.out) continue;
      states_[state.out] = state.in;
    }
    for (const GraphOutput& output : graph.outputs) outputs_.insert(output.value);
    for (const Node* node : order_) choose_small(*node);
    for (auto node = order_.rbegin(); node != order_.rend(); ++node) choose_update(**node);
  }

  // The nodes in their new order.
  std::vector<Node*> order() {
    std::vector<std::pair<int64_t, Node*>> keyed;
    for (Node* node : order_) keyed.emplace_back(key_of(*node), node);
    std::ranges::stable_sort(keyed, {}, &std::pair<int64_t, Node*>::first);
    std::vector<Node*> order;
    for (const auto& [key, node] : keyed) order.push_back(node);
    return order;
  }
  const std::vector<Node*>& present() const { return order_; }

 private:
  void choose_small(const Node& node) {
    const bool leaf = node.op().name == "Constant";
    // What has no operands may still name an extent that a node before it binds (Dims).
    bool small = !node.inputs().empty() && !node.outputs().empty() && !node.op().random;
    for (const Value* output : node.outputs()) small = small && (!output || is_small(*output));
    for (const Value* operand : node.inputs()) {
      small = small && (!operand || !operand->producer() || first_.contains(operand->producer()));
    }
    for_each_subgraph(node, [&](Graph&) { small = small && is_fused(node, "region"); });
    if (leaf || small) first_.insert(&node);
  }

  // A node of the update: elementwise, and all that it gives is a State's next value or goes to such nodes.
  void choose_update(const Node& node) {
    if (first_.contains(&node) || !(is_elementwise(node) || node.op().name == "Cast" || is_fused(node, "region"))) return;
    bool gives_state = false;
    for (const Value* output : node.outputs()) {
      if (!output) continue;
      if (outputs_.contains(output)) return;
      const bool state = states_.contains(output);
      if (!state && output->uses().empty()) return;
      gives_state |= state;
      for (const Use& use : output->uses()) {
        if (!updates_.contains(use.node)) return;
        gives_state = true;
      }
    }
    if (gives_state) updates_.insert(&node);
  }

  // Where the value, or a view of it, is read for the last time by others than `writer`.
  int64_t last_read(const Value* value, const Node& writer) const {
    int64_t last = kFront;
    for (const Use& use : value->uses()) {
      if (use.node == &writer) continue;
      const auto key = keys_.find(use.node);
      last = std::max(last, key == keys_.end() ? places_.at(use.node) : key->second);
      if (!may_share(*use.node)) continue;
      for (const Value* output : use.node->outputs()) {
        if (output) last = std::max(last, last_read(output, writer));
      }
    }
    return last;
  }

  int64_t key_of(const Node& node) {
    int64_t key = places_.at(&node);
    if (first_.contains(&node)) {
      key = kFront;
    } else if (updates_.contains(&node)) {
      key = kFront;
      for (const Value* operand : node.inputs()) {
        if (operand && operand->producer()) key = std::max(key, keys_.at(operand->producer()));
      }
      for (const Value* output : node.outputs()) {
        const auto state = output ? states_.find(output) : states_.end();
        if (state != states_.end()) key = std::max(key, last_read(state->second, node));
      }
      key = std::min(key, places_.at(&node));
    }
    return keys_[&node] = key;
  }

  std::vector<Node*> order_;
  std::unordered_map<const Node*, int64_t> places_, keys_;
  std::unordered_map<const Value*, const Value*> states_;  // out, in
  std::unordered_set<const Value*> outputs_;
  std::unordered_set<const Node*> first_, updates_;
};

}  // namespace

Result<bool> update_states_early(Graph& graph, PassContext&) {
  if (graph.states.empty()) return false;
  Scheduler scheduler(graph);
  const std::vector<Node*> order = scheduler.order();
  if (order == scheduler.present()) return false;
  for (Node* node : order) graph.move_before(node, nullptr);
  return true;
}

}  // namespace gannet
