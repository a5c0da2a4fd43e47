// Attention as a whole, which the library of primitives composes of its products.
#include <algorithm>

#include "backend/onednn/contraction.h"
#include "ir/attention_form.h"
#include "ir/bf16_cast.h"
#include "ir/infer.h"
#include "ir/op.h"

namespace gannet::onednn {
namespace {

// The body's nodes, and its values as memory around it.
class Body {
 public:
  explicit Body(const Node& fused) : fused_(fused), graph_(*fused.attrs.graph("body")) {}

  Refusal read() {
    for (const auto& node : graph_.nodes()) {
      if (node->op().name == "Softmax") softmax = node.get();
      if (node->op().name == "MatMul") (scores ? values : scores) = node.get();
    }
    if (!scores || !values || !softmax || graph_.outputs.size() != 1) return "a body of another form";
    rounds = before_rounding(values->input(0)) == softmax->output();
    if (!rounds && values->input(0) != softmax->output()) return "a body of another form";
    if (std::string obstacle = attention_obstacle(*scores, *values); !obstacle.empty()) return obstacle;
    const auto between = scores_between(scores->output(), softmax->input(0));
    const auto order_of_result = order_between(values->output(), graph_.outputs[0].value);
    if (!between || !order_of_result) return "a body of another form";
    before_softmax = *between;
    order = *order_of_result;
    return "";
  }

  std::optional<MemoryView> view(const Value* value) const {
    if (!value->type.shape) return std::nullopt;
    if (const Node* producer = value->producer(); producer && producer->op().name == "Transpose" && producer->attrs.has("perm")) {
      const std::optional<MemoryView> source = view(producer->input(0));
      if (!source) return std::nullopt;
      return permuted(*source, producer->attrs.integers("perm"));
    }
    if (is_widened(value)) return view(value->producer()->input(0));
    MemoryView result = dense_view(value);
    if (value->constant()) {
      result.constant = value->constant();
      result.value = nullptr;
      return result;
    }
    const auto found = std::ranges::find(graph_.inputs(), value);
    const Value* outside = found == graph_.inputs().end() ? nullptr : fused_.input(static_cast<size_t>(found - graph_.inputs().begin()));
    if (!outside) return std::nullopt;
    return dense_view(outside);
  }

  const Node *scores = nullptr, *softmax = nullptr, *values = nullptr;
  AttentionScores before_softmax;
  std::vector<int64_t> order;
  bool rounds = false;  // what the Softmax makes, to bf16

 private:
  const Node& fused_;
  const Graph& graph_;
};

bool is_unit(const MemoryView& view, size_t axis) { return view.strides[axis].is_constant(1) || view.extents[axis].is_constant(1); }

// Rows or columns of neighbours in memory.
bool is_matrix(const MemoryView& view) { return is_unit(view, view.extents.size() - 1) || is_unit(view, view.extents.size() - 2); }

}  // namespace

Refusal lower_attention(const Node& node, bool has_bf16_products, ProgramBuilder& builder) {
  Body body(node);
  if (Refusal reason = body.read(); !reason.empty()) return reason;
  const auto q = body.view(body.scores->input(0)), k = body.view(body.scores->input(1)), v = body.view(body.values->input(1));
  if (!q || !k || !v) return "an operand that is neither given nor a Transpose";
  const size_t rank = q->extents.size();
  std::vector<int64_t> inverse(rank);
  for (size_t i = 0; i < rank; ++i) inverse[static_cast<size_t>(body.order[i])] = static_cast<int64_t>(i);
  const MemoryView y = permuted(dense_view(node.output()), inverse);
  if (!is_matrix(*q) || !is_matrix(*k) || !is_matrix(*v) || !is_unit(y, rank - 1)) return "an operand whose rows and columns are both apart in memory";
  const bool narrow = q->dtype == DType::kBF16;
  if (k->dtype != q->dtype || v->dtype != q->dtype || (narrow ? !body.rounds : y.dtype != DType::kF32)) return "operands in f32 with others in bf16";
  if (narrow && !has_bf16_products) return "no products of bf16";
  std::vector<MemoryView> masks;
  for (const Value* mask : body.before_softmax.masks) {
    std::optional<MemoryView> view = body.view(mask);
    if (!view) return "a mask that is neither given nor a Transpose";
    while (view->extents.size() < rank) view = with_axis(*view, 0);
    if (!is_unit(*view, rank - 1)) return "a mask whose columns are apart in memory";
    masks.push_back(*view);
  }
  builder.check(q->extents[rank - 1], k->extents[rank - 2], false, describe(node) + "inner extents of the scores");
  builder.check(k->extents[rank - 1], v->extents[rank - 2], false, describe(node) + "keys and values");
  AttentionRecipe recipe{layout_of(*q, builder), layout_of(*k, builder), layout_of(*v, builder), layout_of(y, builder), body.before_softmax.scale, body.rounds, {}};
  std::vector<ValueId> inputs{value_of(*q, builder), value_of(*k, builder), value_of(*v, builder)};
  for (const MemoryView& mask : masks) {
    recipe.masks.push_back(layout_of(mask, builder));
    inputs.push_back(value_of(mask, builder));
  }
  add_primitive_step(node, narrow ? "bf16 Attention" : "Attention", std::move(inputs), {builder.value(node.output())}, std::move(recipe), builder);
  return "";
}

}  // namespace gannet::onednn
