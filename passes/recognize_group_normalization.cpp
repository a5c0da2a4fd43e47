// GroupNormalization from a normalization of reshaped groups and a scale and bias a channel after it, and
// InstanceNormalization from a normalization over pixels followed by these.
#include "passes/match_normalization.h"

namespace gannet {
namespace {

// A normalization that neither scales nor shifts, over all dimensions from the third on.
struct Plain {
  Value* x = nullptr;
  float epsilon = 0;
};

std::optional<Plain> plain_normalization(const Value* value) {
  Node* node = value->producer();
  if (!node || !value->type.has_rank() || value->type.rank() < 3) return std::nullopt;
  const bool layer = node->op().name == "LayerNormalization";
  if ((!layer && node->op().name != "InstanceNormalization") || node->outputs().size() > 1) return std::nullopt;
  if (constant_number(node->input(1)) != 1 || (node->input(2) && constant_number(node->input(2)) != 0)) return std::nullopt;
  const int64_t axis = layer ? node->attrs.integer("axis") : 2;
  if (axis != 2 && axis + value->type.rank() != 2) return std::nullopt;
  return Plain{node->input(0), node->attrs.number("epsilon")};
}

// What follows a normalization: times a factor a channel, plus a shift a channel.
struct Affine {
  Node* root = nullptr;
  Value* factor = nullptr;
  Value* shift = nullptr;
};

Affine affine_after(const Graph& graph, Node& node) {
  Affine affine{&node, nullptr, nullptr};
  const Value* x = node.output();
  const auto take = [&](std::string_view op, Value*& parameter) {
    Node* user = only_user(graph, affine.root->output(), op);
    if (!user || !same_tensor_type(user->output(), x)) return;
    Value* other = other_operand(*user, affine.root->output());
    if (!is_channel_parameter(other, *x->type.shape)) return;
    parameter = other;
    affine.root = user;
  };
  take("Mul", affine.factor);
  take("Add", affine.shift);
  return affine;
}

Status build(Replacer& replacer, const Affine& affine, std::string_view op, Value* x, Attributes attrs) {
  const Dim channels = (*x->type.shape)[1];
  GraphBuilder b(replacer.graph(), affine.root);
  const auto parameter = [&](Value* value, double otherwise) {
    return value ? reshaped(b, value, {channels}) : filled(b, {channels.constant()}, x, otherwise);
  };
  Value* y = b.op(op, {x, parameter(affine.factor, 1), parameter(affine.shift, 0)}, std::move(attrs));
  TRY(b.status());
  replacer.replace(*affine.root, y);
  return {};
}

// Groups of channels that a Reshape brings together and another takes apart.
Status recognize_groups(Replacer& replacer, Node& restore) {
  const auto plain = plain_normalization(restore.input(0));
  Node* split = plain ? producer_of(plain->x, "Reshape") : nullptr;
  if (!split || !same_tensor_type(split->input(0), restore.output())) return {};
  const Shape &x = *restore.output()->type.shape, &grouped = *plain->x->type.shape;
  if (x.size() < 2 || x[0] != grouped[0] || !x[1].is_constant() || !grouped[1].is_constant()) {
    replacer.remark(restore, fmt::format("groups of {} out of {} are not groups of channels", to_string(std::span<const Dim>(grouped)),
                                         to_string(std::span<const Dim>(x))));
    return {};
  }
  const int64_t channels = x[1].constant(), groups = grouped[1].constant();
  if (groups < 1 || channels % groups != 0) {
    replacer.remark(restore, fmt::format("{} groups do not divide {} channels", groups, channels));
    return {};
  }
  return build(replacer, affine_after(replacer.graph(), restore), "GroupNormalization", split->input(0),
               {{"num_groups", groups}, {"epsilon", plain->epsilon}});
}

Status recognize_pixels(Replacer& replacer, Node& norm) {
  const auto plain = plain_normalization(norm.output());
  if (!plain || !(*plain->x->type.shape)[1].is_constant()) return {};
  const Affine affine = affine_after(replacer.graph(), norm);
  if (!affine.factor) return {};
  return build(replacer, affine, "InstanceNormalization", plain->x, {{"epsilon", plain->epsilon}});
}

}  // namespace

Result<bool> recognize_group_normalization(Graph& graph, PassContext& context) {
  Replacer replacer(graph, context);
  for (Node* node : replacer.nodes({"Reshape"})) TRY(recognize_groups(replacer, *node));
  for (Node* node : replacer.nodes({"LayerNormalization"})) {
    if (!replacer.is_dead(*node)) TRY(recognize_pixels(replacer, *node));
  }
  return replacer.finish();
}

}  // namespace gannet
