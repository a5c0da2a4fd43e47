// What is computed from the inputs of the graph and constants alone moves to right before its first use: its
// operands are alive until the end anyway, so that its results are alive for a shorter time, and nothing is
// for a longer one. Models that keep a state list the slices of it first, as exporters do.
#include <algorithm>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "ir/op.h"
#include "ir/view.h"
#include "passes/pass.h"
#include "passes/recomputation.h"
#include "passes/rewrite.h"

namespace gannet {

namespace {

class Scheduler {
 public:
  explicit Scheduler(const Graph& graph) : bound_(symbols_of_inputs(graph)) {
    given_.insert(graph.inputs().begin(), graph.inputs().end());
    for (const auto& node : graph.nodes()) {
      order_.push_back(node.get());
      if (may_move(*node)) movable_.insert(node.get());
    }
  }

  // The nodes in their new order; of those with one user next to each other, in the order that they had.
  std::vector<Node*> order() const {
    std::unordered_map<const Node*, size_t> keys;
    std::vector<std::pair<size_t, Node*>> keyed;
    for (size_t i = order_.size(); i-- > 0;) {
      Node* node = order_[i];
      size_t key = i;
      if (movable_.contains(node)) {
        key = order_.size();
        for (const Value* output : node->outputs()) {
          if (!output) continue;
          for (const Use& use : output->uses()) key = std::min(key, keys.at(use.node));
        }
        if (key == order_.size()) key = i;
      }
      keys[node] = key;
      keyed.emplace_back(key, node);
    }
    std::ranges::reverse(keyed);
    std::ranges::stable_sort(keyed, {}, &std::pair<size_t, Node*>::first);
    std::vector<Node*> order;
    for (const auto& [key, node] : keyed) order.push_back(node);
    return order;
  }
  const std::vector<Node*>& present() const { return order_; }

 private:
  static bool is_leaf(const Node& node) { return node.op().name == "Constant" || node.op().name == "Dims"; }

  bool is_given(const Value* value) const {
    return !value || given_.contains(value) || (value->producer() && is_leaf(*value->producer()));
  }

  // A view of what moves moves along.
  bool moves_along(const Node& view) const {
    for (size_t i = 0; i < view.inputs().size(); ++i) {
      const Value* operand = view.input(i);
      const bool moves =
          i == 0 && operand && operand->uses().size() == 1 && movable_.contains(operand->producer());
      if (!moves && !is_given(operand)) return false;
    }
    return is_view(view);
  }

  // A node that binds a symbol stays, since others name the symbol without being users.
  bool names_bound_symbols(const Node& node) const {
    std::vector<std::string> names;
    for (const Value* output : node.outputs()) {
      if (!output) continue;
      if (!output->type.is_tensor() || !output->type.shape) return false;
      for (const Dim& dim : *output->type.shape) dim.collect_symbols(names);
    }
    return std::ranges::all_of(names, [&](const std::string& name) { return bound_.contains(name); });
  }

  bool may_move(const Node& node) const {
    if (is_leaf(node) || node.op().random || !names_bound_symbols(node)) return false;
    bool runs_bodies = false;
    for_each_subgraph(node, [&](Graph&) { runs_bodies |= node.op().name != "Fused"; });
    if (runs_bodies) return false;
    return std::ranges::all_of(node.inputs(), [&](const Value* operand) { return is_given(operand); }) ||
           moves_along(node);
  }

  const std::set<std::string> bound_;
  std::unordered_set<const Value*> given_;
  std::vector<Node*> order_;
  std::unordered_set<const Node*> movable_;
};

}  // namespace

Result<bool> compute_late(Graph& graph, PassContext&) {
  const Scheduler scheduler(graph);
  const std::vector<Node*> order = scheduler.order();
  if (order == scheduler.present()) return false;
  for (Node* node : order) graph.move_before(node, nullptr);
  return true;
}

}  // namespace gannet
