#include "passes/train_batch_normalization.h"

#include <algorithm>

#include "ir/builder.h"
#include "ir/op.h"

namespace gannet {

namespace {

using E = ScalarExpr;

State* state_of(Graph& graph, const Value* value) {
  auto found = std::ranges::find(graph.states, value, &State::in);
  return found == graph.states.end() ? nullptr : &*found;
}

// How many elements of `x` each channel has.
Value* elements_a_channel(GraphBuilder& b, const Value* x, DType dtype) {
  Shape others = *x->type.shape;
  if (others.size() > 1) others.erase(others.begin() + 1);
  return b.cast(b.squeeze(b.dims({element_count(others)}), {0}), dtype);
}

Status train(Graph& graph, Node* node, State& mean, State& variance, double momentum) {
  Value* x = node->input(0);
  if (!x->type.shape)
    return invalid_input(fmt::format("{}: the rank of its input is not known", describe(*node)));
  GraphBuilder b(graph, node, node->name);
  Attributes attrs = node->attrs;
  attrs.set("training_mode", int64_t{1});
  attrs.set("momentum", 0.0f);  // so that outputs 1 and 2 are the statistics of the batch
  std::vector<Value*> results =
      b.op_n("BatchNormalization", {node->inputs().begin(), node->inputs().end()}, attrs, 3);
  TRY(Status(b.status()));
  auto follow = [&](State& state, Value* batch, const E& share, std::vector<Value*> operands) {
    operands.insert(operands.begin(), {state.out ? state.out : state.in, batch});
    state.out = b.map(momentum * E::arg(0) + (1 - momentum) * E::arg(1) * share, operands);
  };
  follow(mean, results[1], 1.0, {});
  E n = E::arg(2);
  follow(variance, results[2], n / scalar::max(n - 1.0, 1.0),
         {elements_a_channel(b, x, results[2]->type.dtype)});
  TRY(Status(b.status()));
  std::string name = node->output()->name;
  graph.replace_uses(node->output(), results[0]);
  graph.erase(node);
  graph.rename(results[0], name);
  return {};
}

}  // namespace

Result<std::vector<std::string>> train_batch_normalization(Graph& graph, double momentum) {
  if (!(momentum >= 0 && momentum < 1)) {
    return invalid_input(
        fmt::format("the momentum of running statistics must be at least 0 and below 1, got {}", momentum));
  }
  std::vector<Node*> nodes;
  for (const auto& node : graph.nodes()) {
    bool inference = node->op().name == "BatchNormalization" && node->attrs.integer("training_mode") == 0;
    if (inference && node->output()) nodes.push_back(node.get());
  }
  std::vector<std::string> names;
  for (Node* node : nodes) {
    State *mean = state_of(graph, node->input(3)), *variance = state_of(graph, node->input(4));
    if (mean == nullptr || variance == nullptr || mean == variance) continue;
    TRY(train(graph, node, *mean, *variance, momentum));
    for (const State* state : {mean, variance}) {
      if (std::ranges::find(names, state->name) == names.end()) names.push_back(state->name);
    }
  }
  return names;
}

}  // namespace gannet
