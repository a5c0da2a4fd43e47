#include "passes/rewrite.h"

#include <algorithm>
#include <iterator>
#include <unordered_map>

#include "ir/op.h"

namespace gannet {

namespace {

using Position = std::list<std::unique_ptr<Node>>::const_iterator;

// A rule that undoes another would run forever; no sound set of rules comes near this.
constexpr size_t kMostRewritesPerNode = 50;

class Rewriter {
 public:
  Rewriter(Graph& graph, std::span<const RewriteRow> rules)
      : graph_(graph), bound_(symbols_of_inputs(graph)) {
    for (const RewriteRow& row : rules) {
      if (row.op.empty())
        general_.push_back(row.rule);
      else
        by_op_[row.op].push_back(row.rule);
    }
  }

  bool run() {
    budget_ = kMostRewritesPerNode * (graph_.node_count() + 1);
    bool changed = false;
    while (sweep()) changed = true;
    return changed;
  }

 private:
  bool sweep() {
    bool changed = false;
    const auto& nodes = graph_.nodes();
    for (Position position = nodes.begin(); position != nodes.end() && budget_ > 0;) {
      const bool first = position == nodes.begin();
      const Position before = first ? nodes.end() : std::prev(position);
      const Position next = std::next(position);
      if (!visit(before, position)) {
        position = next;
        continue;
      }
      changed = true;
      --budget_;
      position = before == nodes.end() ? nodes.begin() : std::next(before);
    }
    if (changed) erase_dead_nodes(graph_);
    return changed && budget_ > 0;
  }

  // Nodes that rules have added stand between `before` and `position`.
  bool visit(Position before, Position position) {
    Node* node = position->get();
    if (node->op().name == "Constant" || !has_single_result(*node)) return false;
    auto own = by_op_.find(node->op().name);
    return (own != by_op_.end() && apply(own->second, before, position)) || apply(general_, before, position);
  }

  bool apply(const std::vector<RewriteRule>& rules, Position before, Position position) {
    Node* node = position->get();
    for (RewriteRule rule : rules) {
      Rewrite rewrite{graph_, node, GraphBuilder(graph_, node), bound_};
      Value* replacement = rule(rewrite);
      if (replacement && rewrite.b.status().ok() && replacement->type == node->output()->type &&
          replacement != node->output()) {
        replace(node, replacement, before, position);
        return true;
      }
      drop_added(before, position);
      if (rewrite.changed) return true;
    }
    return false;
  }

  static bool has_single_result(const Node& node) {
    for (size_t i = 1; i < node.outputs().size(); ++i) {
      const Value* output = node.output(i);
      if (output && (!output->uses().empty() || node.graph().is_result(output))) return false;
    }
    return node.output() && (!node.output()->uses().empty() || node.graph().is_result(node.output()));
  }

  void replace(Node* node, Value* replacement, Position before, Position position) {
    bool added = false;
    const Position first = before == graph_.nodes().end() ? graph_.nodes().begin() : std::next(before);
    for (Position at = first; at != position; ++at) added |= at->get() == replacement->producer();
    const std::string value_name = node->output()->name, node_name = node->name;
    if (!replacement->contents) replacement->contents = node->output()->contents;
    graph_.replace_uses(node->output(), replacement);
    graph_.erase(node);
    if (!added) return;
    graph_.rename(replacement, value_name);
    if (replacement->producer()->name.empty()) replacement->producer()->name = node_name;
  }

  void drop_added(Position before, Position position) {
    while (position != graph_.nodes().begin()) {
      const Position last = std::prev(position);
      if (last == before) return;
      const bool used = std::ranges::any_of(
          (*last)->outputs(), [](const Value* output) { return output && !output->uses().empty(); });
      if (used) return;
      graph_.erase(last->get());
    }
  }

  Graph& graph_;
  const std::set<std::string> bound_;
  std::unordered_map<std::string_view, std::vector<RewriteRule>> by_op_;
  std::vector<RewriteRule> general_;
  size_t budget_ = 0;
};

}  // namespace

bool Rewrite::can_state(std::span<const Dim> shape) const {
  std::vector<std::string> names;
  for (const Dim& dim : shape) dim.collect_symbols(names);
  return std::ranges::all_of(names, [&](const std::string& name) { return bound_symbols.contains(name); });
}

bool rewrite_graph(Graph& graph, std::span<const RewriteRow> rules) { return Rewriter(graph, rules).run(); }

std::set<std::string> symbols_of_inputs(const Graph& graph) {
  std::set<std::string> names;
  const auto add = [&](const Type& type) {
    if (!type.is_tensor() || !type.shape) return;
    for (const Dim& dim : *type.shape) {
      if (std::optional<std::string> name = dim.symbol_name()) names.insert(*name);
    }
  };
  for (const Value* input : graph.inputs()) add(input->type);
  return names;
}

std::optional<double> constant_number(const Value* value) {
  constexpr int64_t kMostElements = 4096;
  const Tensor* tensor = value ? value->constant() : nullptr;
  if (!tensor || tensor->elements() == 0 || tensor->elements() > kMostElements) return std::nullopt;
  if (!is_float(tensor->dtype()) && !is_int(tensor->dtype()) && tensor->dtype() != DType::kBool)
    return std::nullopt;
  const double first = tensor->double_at(0);
  for (int64_t i = 1; i < tensor->elements(); ++i) {
    if (tensor->double_at(i) != first) return std::nullopt;
  }
  return first;
}

std::optional<double> single_number(const Value* value) {
  const Tensor* tensor = value ? value->constant() : nullptr;
  return tensor && tensor->elements() == 1 ? constant_number(value) : std::nullopt;
}

bool is_constant(const Value* value) { return value && value->constant(); }

bool has_one_use(const Value* value) {
  return value->uses().size() == 1 && !(value->producer() && value->producer()->graph().is_result(value));
}

Node* producer_of(const Value* value, std::string_view op) {
  Node* node = value ? value->producer() : nullptr;
  return node && node->op().name == op ? node : nullptr;
}

}  // namespace gannet
