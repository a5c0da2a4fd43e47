#include "ir/attention_form.h"

#include <fmt/format.h>

#include <numeric>

#include "ir/bf16_cast.h"
#include "ir/epilogue.h"
#include "ir/op.h"

namespace gannet {
namespace {

bool fits(const Value& mask, const Shape& scores) {
  if (mask.type.dtype != DType::kF32 || is_widened(&mask) || !mask.type.shape || mask.type.shape->size() > scores.size()) return false;
  const size_t added = scores.size() - mask.type.shape->size();
  for (size_t i = 0; i < mask.type.shape->size(); ++i) {
    const Dim& extent = (*mask.type.shape)[i];
    if (!extent.is_constant(1) && extent != scores[added + i]) return false;
  }
  return true;
}

}  // namespace

std::optional<AttentionScores> scores_between(const Value* product, const Value* end) {
  AttentionScores scores;
  for (const Value* present = product; present != end;) {
    if (present->uses().size() != 1 || !present->type.shape) return std::nullopt;
    const Use use = present->uses()[0];
    const auto terms = epilogue_of(*use.node, static_cast<size_t>(use.index));
    if (!terms || use.node->output()->type.shape != present->type.shape) return std::nullopt;
    for (const EpilogueTerm& term : *terms) {
      if (term.kind == EpilogueKind::kLinear && term.beta == 0 && scores.masks.empty()) {
        scores.scale *= term.alpha;
      } else if (term.kind == EpilogueKind::kAdd && term.operand >= 0 && scores.masks.size() < kMostAttentionMasks) {
        scores.masks.push_back(use.node->input(static_cast<size_t>(term.operand)));
        if (!fits(*scores.masks.back(), *present->type.shape)) return std::nullopt;
      } else {
        return std::nullopt;
      }
    }
    present = use.node->output();
  }
  return scores;
}

std::optional<std::vector<int64_t>> order_between(const Value* product, const Value* end) {
  if (!product->type.shape) return std::nullopt;
  std::vector<int64_t> order(product->type.shape->size());
  std::iota(order.begin(), order.end(), 0);
  for (const Value* present = product; present != end;) {
    if (present->uses().size() != 1) return std::nullopt;
    const Node& node = *present->uses()[0].node;
    if (rounds_to_bf16(node)) {
      present = node.output();
      continue;
    }
    if (node.op().name != "Transpose" || !node.attrs.has("perm")) return std::nullopt;
    const std::vector<int64_t> before = order, &permutation = node.attrs.integers("perm");
    for (size_t i = 0; i < order.size(); ++i) order[i] = before[static_cast<size_t>(permutation[i])];
    present = node.output();
  }
  return order;
}

std::string attention_obstacle(const Node& scores, const Node& values) {
  constexpr size_t kLeastRank = 3, kMostRank = 6;
  const Value *q = scores.input(0), *k = scores.input(1), *p = scores.output(), *v = values.input(1), *y = values.output();
  for (const Value* value : {q, k, p, v, y}) {
    if (value->type.dtype != DType::kF32) return std::string(name_of(value->type.dtype));
    if (!value->type.shape || value->type.rank() != p->type.rank()) return "operands of unknown or unequal rank";
  }
  const size_t rank = p->type.shape->size();
  if (rank < kLeastRank || rank > kMostRank) return fmt::format("{} dimensions", rank);
  for (const Value* value : {q, k, v, y}) {
    for (size_t axis = 0; axis + 2 < rank; ++axis) {
      if ((*value->type.shape)[axis] != (*p->type.shape)[axis]) return "a batch axis that is repeated";
    }
  }
  return "";
}

bool is_over_columns(const Node& softmax) {
  const int64_t axis = softmax.attrs.integer("axis");
  return axis == -1 || axis == softmax.output()->type.rank() - 1;
}

std::optional<AttentionNodes> attention_from(const Graph& graph, Node& product) {
  const auto reader_of = [&](const Value* value) {
    return value->uses().size() == 1 && !graph.is_result(value) ? value->uses()[0].node : nullptr;
  };
  const auto is_op = [](const Node* node, std::string_view op) { return node && node->op().name == op; };
  Node* softmax = is_op(&product, "MatMul") ? reader_of(product.output()) : nullptr;
  while (softmax && softmax->op().name != "Softmax") {
    softmax = softmax->outputs().size() == 1 && softmax->output()->type.shape == product.output()->type.shape ? reader_of(softmax->output()) : nullptr;
  }
  if (!softmax || !is_over_columns(*softmax)) return std::nullopt;
  Node* values = reader_of(softmax->output());
  if (!is_op(values, "MatMul") || values->input(0) != softmax->output()) return std::nullopt;
  if (!attention_obstacle(product, *values).empty() || !scores_between(product.output(), softmax->input(0))) return std::nullopt;
  return AttentionNodes{&product, softmax, values};
}

}  // namespace gannet
