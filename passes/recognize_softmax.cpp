// Softmax from exp(x - max) / sum, and LogSoftmax from (x - max) - log(sum), with or without the subtraction.
#include "passes/match.h"

namespace gannet {
namespace {

// The axis that a reduction `op` with kept dimensions runs over, and its operand.
struct Reduction {
  Value* of = nullptr;
  std::vector<int64_t> axes;
};

std::optional<Reduction> reduction(Value* value, std::string_view op) {
  Node* node = producer_of(value, op);
  if (!node || node->attrs.integer("keepdims") == 0) return std::nullopt;
  const auto axes = reduction_axes(*node);
  return axes ? std::optional(Reduction{node->input(0), *axes}) : std::nullopt;
}

// x where `value` is x - max(x) over `axes`; `value` itself otherwise.
Value* unshifted(Value* value, const std::vector<int64_t>& axes) {
  Node* sub = producer_of(value, "Sub");
  const auto largest = sub ? reduction(sub->input(1), "ReduceMax") : std::nullopt;
  return largest && largest->of == sub->input(0) && largest->axes == axes ? sub->input(0) : value;
}

Status replace(Replacer& replacer, Node& root, std::string_view op, Value* x, const std::vector<int64_t>& axes) {
  if (!same_tensor_type(x, root.output())) return {};
  if (axes.size() != 1) {
    replacer.remark(root, fmt::format("a {} over {} axes is not one node", op, axes.size()));
    return {};
  }
  GraphBuilder b(replacer.graph(), &root);
  const bool last = axes[0] + 1 == x->type.rank();
  Value* y = b.op(op, {x}, {{"axis", last ? int64_t{-1} : axes[0]}});
  TRY(b.status());
  replacer.replace(root, y);
  return {};
}

// exp / sum, also as exp * (1 / sum).
Status recognize_quotient(Replacer& replacer, Node& root, Value* numerator, Value* denominator) {
  Node* exponential = producer_of(numerator, "Exp");
  const auto sum = reduction(denominator, "ReduceSum");
  if (!exponential || !sum || sum->of != numerator) return {};
  return replace(replacer, root, "Softmax", unshifted(exponential->input(0), sum->axes), sum->axes);
}

Status recognize_product(Replacer& replacer, Node& root) {
  for (size_t i = 0; i < 2; ++i) {
    Node* inverse = producer_of(root.input(i), "Reciprocal");
    if (inverse && !replacer.is_dead(root)) TRY(recognize_quotient(replacer, root, root.input(1 - i), inverse->input(0)));
  }
  return {};
}

// z - log(sum(exp(z))), where z may be shifted by its largest element, on one side or on both.
Status recognize_difference(Replacer& replacer, Node& root) {
  if (const auto whole = reduction(root.input(1), "ReduceLogSumExp"); whole && whole->of == root.input(0)) {
    return replace(replacer, root, "LogSoftmax", root.input(0), whole->axes);
  }
  Value* logarithm = root.input(1);
  Value* added = nullptr;
  if (Node* add = producer_of(logarithm, "Add")) {
    const size_t at = producer_of(add->input(0), "Log") ? 0 : 1;
    logarithm = add->input(at);
    added = add->input(1 - at);
  }
  Node* log = producer_of(logarithm, "Log");
  const auto sum = log ? reduction(log->input(0), "ReduceSum") : std::nullopt;
  Node* exponential = sum ? producer_of(sum->of, "Exp") : nullptr;
  if (!exponential) return {};
  Value* z = exponential->input(0);
  Value* x = unshifted(z, sum->axes);
  if (added) {
    const auto largest = reduction(added, "ReduceMax");
    if (root.input(0) != x || z == x || !largest || largest->of != x || largest->axes != sum->axes) return {};
  } else if (root.input(0) != z) {
    return {};
  }
  return replace(replacer, root, "LogSoftmax", x, sum->axes);
}

Status recognize_logarithm(Replacer& replacer, Node& root) {
  Node* softmax = producer_of(root.input(0), "Softmax");
  if (!softmax || !softmax->output()->type.has_rank()) return {};
  const int64_t axis = softmax->attrs.integer("axis"), rank = softmax->output()->type.rank();
  return replace(replacer, root, "LogSoftmax", softmax->input(0), {axis < 0 ? axis + rank : axis});
}

}  // namespace

Result<bool> recognize_softmax(Graph& graph, PassContext& context) {
  Replacer replacer(graph, context);
  for (Node* node : replacer.nodes({"Div", "Mul", "Sub"})) {
    if (node->op().name == "Div") TRY(recognize_quotient(replacer, *node, node->input(0), node->input(1)));
    if (node->op().name == "Mul") TRY(recognize_product(replacer, *node));
    if (node->op().name == "Sub") TRY(recognize_difference(replacer, *node));
  }
  for (Node* node : replacer.nodes({"Log"})) TRY(recognize_logarithm(replacer, *node));
  return replacer.finish();
}

}  // namespace gannet
