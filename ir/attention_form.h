// What the body of a `Fused` node of kind "attention" holds: softmax(q k scale + masks) v over the last axis of the scores,
//   - two MatMuls and the Softmax between them,
//   - factors and then summands (masks) between the first product and the Softmax,
//   - Transposes of the operands of both products, and of the result,
//   - Casts that round the Softmax to bf16, and where both products are of bf16, those that widen their other operands and
//     one that rounds the result.
// Fusion asks here whether nodes have this form, and lowering reads the same body.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace gannet {

inline constexpr size_t kMostAttentionMasks = 2;

// What happens to scores before the Softmax.
struct AttentionScores {
  float scale = 1;
  std::vector<const Value*> masks;  // of extents that are those of the scores, or 1, from the right
};
// From `product`, the result of a MatMul, up to `end`; nothing where anything else is between them or has another use.
std::optional<AttentionScores> scores_between(const Value* product, const Value* end);
// The order of axes that Transposes from `product` to `end` give: axis i of `end` is axis order[i]. Nothing where
// anything but these and a Cast that rounds is between them.
std::optional<std::vector<int64_t>> order_between(const Value* product, const Value* end);
// Why the two products are none of attention's; empty where they are. f32, of one rank from 3 to 6, no batch axis repeated.
std::string attention_obstacle(const Node& scores, const Node& values);
bool is_over_columns(const Node& softmax);

// Attention in a graph whose nodes nothing has joined yet.
struct AttentionNodes {
  Node *scores = nullptr, *softmax = nullptr, *values = nullptr;
};
// With `product` as the first of its products; nothing where it is none of attention's or something else reads what is between.
std::optional<AttentionNodes> attention_from(const Graph& graph, Node& product);

}  // namespace gannet
