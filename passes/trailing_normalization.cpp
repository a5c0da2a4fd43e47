#include "passes/match_normalization.h"

namespace gannet {
namespace {

// A factor of ones: one for each element of a known last dimension, else a single one that broadcasts.
Value* ones(GraphBuilder& b, const Shape& shape, int64_t axis, const Value* like) {
  constexpr int64_t kMost = 4096;
  const Dim& last = shape.back();
  const bool whole = axis + 1 == static_cast<int64_t>(shape.size()) && last.is_constant() && last.constant() <= kMost;
  return filled(b, {whole ? last.constant() : 1}, like, 1);
}

// Takes in a factor and a bias that follow.
void extend(const Graph& graph, Replacer& replacer, Normalized& norm, const Shape& shape, int64_t axis) {
  const auto parameter = [&](Node* user, const Value* value) -> Value* {
    Value* other = user ? other_operand(*user, value) : nullptr;
    const bool fits = other && is_trailing_parameter(other, shape, axis) && same_tensor_type(user->output(), norm.x);
    return fits && other->type.dtype == norm.x->type.dtype ? other : nullptr;
  };
  if (!norm.factor && !norm.shift) {
    Node* mul = only_user(graph, norm.root->output(), "Mul");
    if (Value* factor = parameter(mul, norm.root->output())) {
      norm.factor = factor;
      norm.root = mul;
    }
  }
  if (norm.shift || !norm.centered) return;
  Node* add = only_user(graph, norm.root->output(), "Add");
  if (Value* shift = parameter(add, norm.root->output())) {
    norm.shift = shift;
    norm.root = add;
  } else if (norm.root->output()->uses().size() > 1) {
    replacer.remark(*norm.root, fmt::format("result '{}' of a normalization has {} uses, so that no bias is taken in",
                                            norm.root->output()->name, norm.root->output()->uses().size()));
  }
}

Status recognize(Replacer& replacer, Node& node, bool centered) {
  std::optional<Normalized> norm = match_normalized(node);
  if (!norm || norm->centered != centered) return {};
  const Shape& shape = *norm->x->type.shape;
  const auto rank = static_cast<int64_t>(shape.size());
  if (!are_trailing(norm->axes, rank)) {
    replacer.remark(node, fmt::format("normalizes over axis {} of {}, and the normalized axes are not the last", norm->axes.front(), rank));
    return {};
  }
  const int64_t axis = norm->axes.front();
  for (const Value* parameter : {norm->factor, norm->shift}) {
    if (!parameter || is_trailing_parameter(parameter, shape, axis)) continue;
    replacer.remark(node, fmt::format("'{}' of {} varies along dimensions that are not normalized", parameter->name, to_string(parameter->type)));
    return {};
  }
  extend(replacer.graph(), replacer, *norm, shape, axis);
  GraphBuilder b(replacer.graph(), norm->root);
  Value* factor = norm->factor ? trimmed(b, norm->factor, rank - axis) : ones(b, shape, axis, norm->x);
  const Attributes attrs = {{"axis", axis - rank}, {"epsilon", static_cast<float>(norm->epsilon)}};
  std::vector<Value*> operands = {norm->x, factor};
  if (norm->shift) operands.push_back(trimmed(b, norm->shift, rank - axis));
  Value* y = b.op(centered ? "LayerNormalization" : "RMSNormalization", operands, attrs);
  TRY(b.status());
  replacer.replace(*norm->root, y);
  return {};
}

}  // namespace

Result<bool> recognize_trailing_normalization(Graph& graph, PassContext& context, bool centered) {
  Replacer replacer(graph, context);
  for (Node* node : replacer.nodes({"Div", "Mul", "Add", "Sub"})) {
    if (!replacer.is_dead(*node)) TRY(recognize(replacer, *node, centered));
  }
  return replacer.finish();
}

}  // namespace gannet
