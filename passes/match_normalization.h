// What layer, RMS, group and instance normalization have in common: a value over the root of its mean square.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "passes/match.h"

namespace gannet {

// (x - mean) / sqrt(variance + epsilon) * factor + shift, or, not centered, x / sqrt(mean square + epsilon) * factor.
struct Normalized {
  Node* root = nullptr;  // what computes it
  Value* x = nullptr;
  std::vector<int64_t> axes;  // of the means, sorted
  double epsilon = 0;
  bool centered = true;
  Value* factor = nullptr;  // null: none
  Value* shift = nullptr;
};

// The normalization whose result `node` computes, factors that stand between its parts included.
std::optional<Normalized> match_normalized(Node& node);

// True when `axes` are the last ones of `rank`.
bool are_trailing(const std::vector<int64_t>& axes, int64_t rank);
// True where `value`, but for leading dimensions of 1, varies along the dimensions of `shape` from `axis` on only, and
// broadcasts to them.
bool is_trailing_parameter(const Value* value, const Shape& shape, int64_t axis);
// True where `value` broadcast to `shape` has one element for each index of dimension 1.
bool is_channel_parameter(const Value* value, const Shape& shape);
// `value` as a tensor of `shape`, whose elements it has.
Value* reshaped(GraphBuilder& b, Value* value, const Shape& shape);
// `value` without leading dimensions of 1 that exceed `rank`.
Value* trimmed(GraphBuilder& b, Value* value, int64_t rank);

// The only use of `value` when that is a node of `op` on it and another operand, else null.
Node* only_user(const Graph& graph, const Value* value, std::string_view op);

// Recognizes normalizations over trailing dimensions: LayerNormalization where they are centered, else RMSNormalization.
Result<bool> recognize_trailing_normalization(Graph& graph, PassContext& context, bool centered);

}  // namespace gannet
