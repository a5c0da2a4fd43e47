// Softplus from log(1 + exp(x)), then Mish from x * tanh(softplus(x)).
#include "passes/match.h"

namespace gannet {
namespace {

Status recognize_softplus(Replacer& replacer, Node& log) {
  for (Value* e : possible_bases(log.input(0))) {
    Node* exponential = producer_of(e, "Exp");
    if (!exponential || !same_tensor_type(e, log.output())) continue;
    const auto inside = polynomial_of(log.input(0), nullptr, e);
    if (!inside || !is_near(*inside, {{kOne, 1}, {kE, 1}}, DType::kF32)) continue;
    GraphBuilder b(replacer.graph(), &log);
    Value* y = b.op("Softplus", {exponential->input(0)});
    TRY(b.status());
    replacer.replace(log, y);
    return {};
  }
  return {};
}

Status recognize_product(Replacer& replacer, Node& tanh) {
  Node* softplus = producer_of(tanh.input(0), "Softplus");
  if (!softplus) return {};
  Value* x = softplus->input(0);
  for (Node* root : possible_roots(tanh.output())) {
    const auto whole = polynomial_of(root->output(), x, tanh.output());
    if (!same_tensor_type(root->output(), x) || !whole || !is_near(*whole, {{kXE, 1}}, x->type.dtype)) continue;
    GraphBuilder b(replacer.graph(), root);
    Value* y = b.op("Mish", {x});
    TRY(b.status());
    replacer.replace(*root, y);
    return {};
  }
  replacer.remark(tanh, fmt::format("tanh(softplus('{}')) is not multiplied by '{}', which would be a Mish", x->name, x->name));
  return {};
}

}  // namespace

Result<bool> recognize_mish(Graph& graph, PassContext& context) {
  Replacer replacer(graph, context);
  for (Node* log : replacer.nodes({"Log"})) TRY(recognize_softplus(replacer, *log));
  for (Node* tanh : replacer.nodes({"Tanh"})) {
    if (!replacer.is_dead(*tanh)) TRY(recognize_product(replacer, *tanh));
  }
  return replacer.finish();
}

}  // namespace gannet
