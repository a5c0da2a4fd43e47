#include "passes/differentiate.h"

#include <unordered_map>
#include <unordered_set>

#include "ir/builder.h"
#include "ir/op.h"
#include "ir/vjp.h"

namespace gannet {

namespace {

using ValueSet = std::unordered_set<const Value*>;

bool carries_gradient(const Value* value) {
  return value && (!value->type.is_tensor() || is_float(value->type.dtype) || value->type.dtype == DType::kUndefined);
}

// Values that depend on a variable through floats.
ValueSet reach_forward(const Graph& graph, std::span<Value* const> variables) {
  ValueSet reached(variables.begin(), variables.end());
  for (const auto& node : graph.nodes()) {
    bool depends = false;
    for (const Value* operand : node->inputs()) depends |= operand && reached.contains(operand);
    if (!depends) continue;
    for (const Value* output : node->outputs()) {
      if (carries_gradient(output)) reached.insert(output);
    }
  }
  return reached;
}

// Replaces a node that is defined by decomposition with its parts.
Status decompose_node(Graph& graph, Node* node) {
  GraphBuilder builder(graph, node, node->name);
  DecomposeContext context(builder, node->attrs, {node->inputs().begin(), node->inputs().end()}, node->outputs().size());
  Status status = node->op().decompose(context);
  if (status.ok()) status = builder.status();
  if (!status.ok()) return with_prefix(describe(*node), status.error());
  for (size_t i = 0; i < node->outputs().size(); ++i) {
    if (node->output(i) && context.outputs()[i]) graph.replace_uses(node->output(i), context.outputs()[i]);
  }
  graph.erase(node);
  return {};
}

// Decomposes until every node that the gradient passes has a rule of its own. True when there was any such node.
Result<bool> decompose_reached_once(Graph& graph, std::span<Value* const> variables) {
  ValueSet reached = reach_forward(graph, variables);
  std::vector<Node*> composite;
  for (const auto& node : graph.nodes()) {
    if (node->op().vjp != nullptr) continue;
    bool on_path = false;
    for (const Value* operand : node->inputs()) on_path |= operand && reached.contains(operand);
    if (on_path) composite.push_back(node.get());
  }
  for (Node* node : composite) TRY(decompose_node(graph, node));
  return !composite.empty();
}

// Decomposition replaces values; `tracked` follows them, held as graph outputs meanwhile.
Status decompose_reached(Graph& graph, std::span<Value*> tracked) {
  size_t own = graph.outputs.size();
  for (Value* value : tracked) graph.outputs.push_back({"", value});
  Result<bool> changed = true;
  while (changed.ok() && *changed) {
    for (size_t i = 0; i < tracked.size(); ++i) tracked[i] = graph.outputs[own + i].value;
    changed = decompose_reached_once(graph, tracked.subspan(1));
  }
  graph.outputs.resize(own);
  if (!changed.ok()) return changed.error();
  return {};
}

class Sweep {
 public:
  Sweep(Graph& graph, std::span<Value* const> variables)
      : graph_(graph), builder_(graph), reached_(reach_forward(graph, variables)) {}

  Status run(Value* loss) {
    if (!reached_.contains(loss)) return {};
    gradients_[loss] = builder_.full(*loss->type.shape, loss->type.dtype, 1.0);
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
  Status visit(Node& node) {
    std::vector<Value*> upstream;
    bool any = false;
    for (const Value* output : node.outputs()) {
      upstream.push_back(output ? gradient_of(output) : nullptr);
      any |= upstream.back() != nullptr;
    }
    bool wanted = false;
    for (const Value* operand : node.inputs()) wanted |= operand && reached_.contains(operand) && carries_gradient(operand);
    if (!any || !wanted) return {};
    GraphBuilder builder(graph_, nullptr, node.name.empty() ? std::string() : "gradient/" + node.name);
    VjpContext context(builder, node, std::move(upstream));
    Status status = node.op().vjp(context);
    if (status.ok()) status = builder.status();
    if (!status.ok()) return with_prefix(describe(node), status.error());
    for (size_t i = 0; i < node.inputs().size(); ++i) {
      const Value* operand = node.input(i);
      Value* part = context.results()[i];
      if (operand == nullptr || part == nullptr || !reached_.contains(operand)) continue;
      auto [entry, is_new] = gradients_.try_emplace(operand, part);
      if (!is_new) entry->second = builder_.add(entry->second, part);
    }
    return {};
  }

  Graph& graph_;
  GraphBuilder builder_;
  ValueSet reached_;
  std::unordered_map<const Value*, Value*> gradients_;
};

}  // namespace

Result<std::vector<Value*>> differentiate(Graph& graph, Value* loss, std::span<Value* const> variables) {
  bool is_scalar = loss->type.is_tensor() && loss->type.shape && element_count(*loss->type.shape).is_constant(1);
  if (!is_scalar || !is_float(loss->type.dtype)) {
    return invalid_model(fmt::format("the loss must be one floating point element, '{}' is {}", loss->name, to_string(loss->type)));
  }
  std::vector<Value*> tracked = {loss};
  tracked.insert(tracked.end(), variables.begin(), variables.end());
  TRY(decompose_reached(graph, tracked));
  std::span<Value* const> followed = std::span<Value* const>(tracked).subspan(1);
  Sweep sweep(graph, followed);
  TRY(sweep.run(tracked[0]));
  std::vector<Value*> gradients;
  for (const Value* variable : followed) gradients.push_back(sweep.gradient_of(variable));
  return gradients;
}

}  // namespace gannet
