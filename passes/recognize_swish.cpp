// Sigmoid from 1 / (1 + exp(-x)), then Swish (SiLU) from x * sigmoid(alpha * x).
#include "passes/match.h"

namespace gannet {
namespace {

// What is 1 / (1 + e): a Reciprocal, or 1 divided.
bool is_one_over(const Node& node, const Value* e) {
  const bool reciprocal = node.op().name == "Reciprocal";
  if (!reciprocal && constant_number(node.input(0)) != 1) return false;
  const auto divisor = polynomial_of(node.input(reciprocal ? 0 : 1), nullptr, e);
  return divisor && is_near(*divisor, {{kOne, 1}, {kE, 1}}, e->type.dtype);
}

// The operand of exp(-x), where `node` is 1 / (1 + exp(-x)) or x itself is found as 1 / (1 + exp(x')) with x = -x'.
Status recognize_sigmoid(Replacer& replacer, Node& node) {
  const bool reciprocal = node.op().name == "Reciprocal";
  for (Value* e : possible_bases(node.input(reciprocal ? 0 : 1))) {
    Node* exponential = producer_of(e, "Exp");
    if (!exponential || !same_tensor_type(e, node.output()) || !is_one_over(node, e)) continue;
    Value* negated = exponential->input(0);
    GraphBuilder b(replacer.graph(), &node);
    for (Value* x : possible_bases(negated)) {
      const auto factor = polynomial_of(negated, x);
      if (!same_tensor_type(x, e) || !factor || !is_near(*factor, {{kX, -1}}, DType::kF32)) continue;
      Value* y = b.op("Sigmoid", {x});
      TRY(b.status());
      replacer.replace(node, y);
      return {};
    }
    replacer.remark(node, fmt::format("1 / (1 + exp('{}')) would be a sigmoid if that were a negated value", negated->name));
  }
  return {};
}

Node* product_of(const Value* x, const Value* e) {
  for (Node* root : possible_roots(e)) {
    if (!same_tensor_type(root->output(), x)) continue;
    const auto whole = polynomial_of(root->output(), x, e);
    if (whole && is_near(*whole, {{kXE, 1}}, x->type.dtype)) return root;
  }
  return nullptr;
}

Status recognize_product(Replacer& replacer, Node& sigmoid) {
  Value* e = sigmoid.output();
  for (Value* x : possible_bases(sigmoid.input(0))) {
    if (!same_tensor_type(x, e)) continue;
    const auto argument = polynomial_of(sigmoid.input(0), x);
    if (!argument || argument->size() != 1 || argument->begin()->first != kX) continue;
    Node* root = product_of(x, e);
    if (!root) continue;
    const auto alpha = static_cast<float>(argument->begin()->second);
    GraphBuilder b(replacer.graph(), root);
    Value* y = b.op("Swish", {x}, alpha == 1 ? Attributes() : Attributes{{"alpha", alpha}});
    TRY(b.status());
    replacer.replace(*root, y);
    return {};
  }
  return {};
}

}  // namespace

Result<bool> recognize_swish(Graph& graph, PassContext& context) {
  Replacer replacer(graph, context);
  for (Node* node : replacer.nodes({"Reciprocal", "Div"})) TRY(recognize_sigmoid(replacer, *node));
  for (Node* sigmoid : replacer.nodes({"Sigmoid"})) {
    if (!replacer.is_dead(*sigmoid)) TRY(recognize_product(replacer, *sigmoid));
  }
  return replacer.finish();
}

}  // namespace gannet
