#include "passes/differentiate.h"

#include <unordered_map>
#include <unordered_set>

#include "ir/builder.h"
#include "ir/gradient_rule.h"
#include "ir/op.h"

namespace gannet {

namespace {

using ValueSet = std::unordered_set<const Value*>;

// Values that depend on a variable differentiably.
ValueSet reach_forward(const Graph& graph, std::span<Value* const> variables) {
  ValueSet reached(variables.begin(), variables.end());
  for (const auto& node : graph.nodes()) {
    bool depends = false;
    for (const Value* operand : node->inputs()) depends |= operand && reached.contains(operand);
    if (!depends || !node->op().no_gradient.empty()) continue;
    for (const Value* output : node->outputs()) {
      if (output && carries_gradient(output->type)) reached.insert(output);
    }
  }
  return reached;
}

// Replaces a node with what `make` builds in its place; false when that is nothing.
Result<bool> replace_node(Graph& graph, Node* node, DecomposeFn make) {
  size_t count = node->outputs().size();
  while (count > 0 && !node->output(count - 1)) --count;
  GraphBuilder builder(graph, node, node->name);
  DecomposeContext context(builder, node->attrs, {node->inputs().begin(), node->inputs().end()}, count);
  Status status = make(context);
  if (status.ok()) status = builder.status();
  if (!status.ok()) return with_prefix(describe(*node), status.error());
  bool replaced = false;
  for (size_t i = 0; i < count; ++i) {
    Value* part = context.outputs()[i];
    replaced |= part != nullptr;
    if (node->output(i) && part) graph.replace_uses(node->output(i), part);
  }
  if (replaced) graph.erase(node);
  return replaced;
}

// Replaces nodes until every one that the gradient passes has a rule of its own and what that rule reads. True when there
// was any such node.
Result<bool> prepare_reached_once(Graph& graph, std::span<Value* const> variables) {
  ValueSet reached = reach_forward(graph, variables);
  std::vector<Node*> candidates;
  for (const auto& node : graph.nodes()) {
    const GradientRule& rule = gradient_rule(node->op());
    if (rule.vjp != nullptr && rule.for_gradient == nullptr) continue;
    bool on_path = false;
    for (const Value* operand : node->inputs()) on_path |= operand && reached.contains(operand);
    if (on_path) candidates.push_back(node.get());
  }
  bool changed = false;
  for (Node* node : candidates) {
    const DecomposeFn for_gradient = gradient_rule(node->op()).for_gradient;
    changed |= TRY(replace_node(graph, node, for_gradient ? for_gradient : node->op().decompose));
  }
  return changed;
}

// The same until nothing changes; `tracked`, whose last `variables` values are the variables, follows values that are
// replaced, held as graph outputs meanwhile.
Status prepare_reached(Graph& graph, std::span<Value*> tracked, size_t variables) {
  size_t own = graph.outputs.size();
  for (Value* value : tracked) graph.outputs.push_back({"", value});
  Result<bool> changed = true;
  while (changed.ok() && *changed) {
    for (size_t i = 0; i < tracked.size(); ++i) tracked[i] = graph.outputs[own + i].value;
    changed = prepare_reached_once(graph, tracked.last(variables));
  }
  graph.outputs.resize(own);
  if (!changed.ok()) return changed.error();
  return {};
}

class Sweep {
 public:
  Sweep(Graph& graph, std::span<Value* const> variables)
      : graph_(graph), builder_(graph), reached_(reach_forward(graph, variables)) {}

  Status run(std::span<const ValueGradient> given) {
    for (const ValueGradient& start : given) {
      if (reached_.contains(start.value)) add(start.value, start.gradient);
    }
    std::vector<Node*> order;
    for (const auto& node : graph_.nodes()) order.push_back(node.get());
    for (auto it = order.rbegin(); it != order.rend(); ++it) TRY(visit(**it));
    return builder_.status();
  }

  Value* gradient_of(const Value* value) const {
    auto entry = gradients_.find(value);
    return entry == gradients_.end() ? nullptr : entry->second;
  }

 private:
  void add(const Value* value, Value* part) {
    auto [entry, is_new] = gradients_.try_emplace(value, part);
    if (!is_new) entry->second = sum_of_gradients(builder_, entry->second, part);
  }

  Status visit(Node& node) {
    std::vector<Value*> upstream;
    bool any = false;
    for (const Value* output : node.outputs()) {
      upstream.push_back(output ? gradient_of(output) : nullptr);
      any |= upstream.back() != nullptr;
    }
    bool wanted = false;
    for (const Value* operand : node.inputs()) wanted |= operand && reached_.contains(operand);
    if (!any || !wanted) return {};
    GraphBuilder builder(graph_, nullptr, node.name.empty() ? std::string() : "gradient/" + node.name);
    VjpContext context(builder, node, std::move(upstream), backpropagate);
    Status status = gradient_rule(node.op()).vjp(context);
    if (status.ok()) status = builder.status();
    if (!status.ok()) return with_prefix(describe(node), status.error());
    for (size_t i = 0; i < node.inputs().size(); ++i) {
      const Value* operand = node.input(i);
      Value* part = context.results()[i];
      if (!operand || !part || !reached_.contains(operand)) continue;
      // Elements of sequences come back without a shape.
      const bool untyped = part->type.is_tensor() && !part->type.shape && operand->type.shape;
      add(operand, untyped ? builder.reshape(part, *operand->type.shape) : part);
    }
    return {};
  }

  Graph& graph_;
  GraphBuilder builder_;
  ValueSet reached_;
  std::unordered_map<const Value*, Value*> gradients_;
};

}  // namespace

Result<std::vector<Value*>> backpropagate(Graph& graph, std::vector<ValueGradient> given, std::vector<Value*> variables) {
  std::vector<Value*> tracked;
  for (const ValueGradient& start : given) tracked.insert(tracked.end(), {start.value, start.gradient});
  tracked.insert(tracked.end(), variables.begin(), variables.end());
  TRY(prepare_reached(graph, tracked, variables.size()));
  for (size_t i = 0; i < given.size(); ++i) given[i] = {tracked[2 * i], tracked[2 * i + 1]};
  std::span<Value* const> followed = std::span<Value* const>(tracked).last(variables.size());
  Sweep sweep(graph, followed);
  TRY(sweep.run(given));
  std::vector<Value*> gradients;
  for (const Value* variable : followed) gradients.push_back(sweep.gradient_of(variable));
  return gradients;
}

Result<std::vector<Value*>> differentiate(Graph& graph, Value* loss, std::span<Value* const> variables) {
  bool is_scalar = loss->type.is_tensor() && loss->type.shape && element_count(*loss->type.shape).is_constant(1);
  if (!is_scalar || !is_float(loss->type.dtype)) {
    return invalid_model(fmt::format("the loss must be one floating point element, '{}' is {}", loss->name, to_string(loss->type)));
  }
  GraphBuilder builder(graph);
  Value* one = builder.full(*loss->type.shape, loss->type.dtype, 1.0);
  TRY(Status(builder.status()));
  return backpropagate(graph, {{loss, one}}, {variables.begin(), variables.end()});
}

}  // namespace gannet
