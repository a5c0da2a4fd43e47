#include "passes/lift_weights.h"

#include <memory>
#include <vector>

#include "ir/op.h"

namespace gannet {

namespace {

std::vector<Graph*> subgraphs_of(const Node& node) {
  std::vector<Graph*> graphs;
  for_each_subgraph(node, [&](Graph& graph) { graphs.push_back(&graph); });
  return graphs;
}

// Passes `outer` into all subgraphs of `node`; in `user` it stands for `inner`.
void capture(Node& node, Value* outer, Graph& user, Value* inner) {
  std::vector<Value*> operands(node.inputs().begin(), node.inputs().end());
  constexpr size_t kTripsAndCondition = 2;
  if (node.op().name == "Loop" && operands.size() < kTripsAndCondition)
    operands.resize(kTripsAndCondition, nullptr);
  operands.push_back(outer);
  node.graph().set_operands(&node, std::move(operands));
  node.attrs.set("captures", node.attrs.integer("captures") + 1);
  for (Graph* graph : subgraphs_of(node)) {
    Value* input = graph->add_input(outer->name, outer->type);
    if (graph == &user) graph->replace_uses(inner, input);
  }
}

}  // namespace

void lift_weights(Node& node, const std::function<bool(const Value&)>& is_weight) {
  for (Graph* graph : subgraphs_of(node)) {
    std::vector<Node*> inside;
    for (const auto& child : graph->nodes()) inside.push_back(child.get());
    for (Node* child : inside) {
      if (!subgraphs_of(*child).empty()) lift_weights(*child, is_weight);
    }
    std::vector<Value*> weights;
    for (const auto& child : graph->nodes()) {
      for (Value* output : child->outputs()) {
        if (output && output->constant() && is_weight(*output)) weights.push_back(output);
      }
    }
    for (Value* weight : weights) {
      Value* outer = node.graph().add_constant(*weight->constant(), weight->name, &node);
      outer->origin = weight->origin;
      capture(node, outer, *graph, weight);
      graph->erase(weight->producer());
    }
  }
}

}  // namespace gannet
