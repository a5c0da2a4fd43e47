#include "ir/attention_form.h"

#include <fmt/format.h>

#include <numeric>

#include "ir/epilogue.h"
#include "ir/op.h"

namespace gannet {
namespace {

bool fits(const Value& mask, const Shape& scores) {
  if (mask.type.dtype != DType::kF32 || !mask.type.shape || mask.type.shape->size() > scores.size()) return false;
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

}  // namespace gannet
