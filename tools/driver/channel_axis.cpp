#include "tools/driver/channel_axis.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <string_view>
#include <vector>

#include "ir/op.h"

namespace gannet {

namespace {

constexpr int64_t kRank = 4;

bool has_channels_second(std::string_view name) {
  constexpr std::string_view kNames[] = {
      "AveragePool", "BatchNormalization", "Conv",         "ConvInteger",           "ConvTranspose",
      "DeformConv",  "DepthToSpace",       "GlobalLpPool", "GlobalAveragePool",     "GlobalMaxPool",
      "LpPool",      "GroupNormalization", "LRN",          "InstanceNormalization", "MaxPool",
      "MaxUnpool",   "QLinearConv",        "SpaceToDepth"};
  return std::ranges::find(kNames, name) != std::end(kNames);
}

// Whether axis i of the result is axis i of each operand of rank 4.
bool keeps_axes(const Node& node) {
  constexpr std::string_view kNames[] = {"Cast",
                                         "Concat",
                                         "CumSum",
                                         "DequantizeLinear",
                                         "Dropout",
                                         "Expand",
                                         "Hardmax",
                                         "Identity",
                                         "LogSoftmax",
                                         "LpNormalization",
                                         "LayerNormalization",
                                         "Pad",
                                         "QuantizeLinear",
                                         "ReduceL2",
                                         "ReduceMax",
                                         "ReduceMean",
                                         "ReduceMin",
                                         "ReduceSum",
                                         "Resize",
                                         "Slice",
                                         "Softmax",
                                         "Split"};
  return node.op().body != nullptr || std::ranges::find(kNames, node.op().name) != std::end(kNames);
}

// The first operand of rank 4 that is no constant.
const Value* map_of(const Node& node) {
  for (const Value* operand : node.inputs()) {
    if (operand && !operand->constant() && operand->type.is_tensor() && operand->type.rank() == kRank)
      return operand;
  }
  return nullptr;
}

}  // namespace

std::optional<int64_t> channel_axis(const Value& value, ImageLayout of_input) {
  std::array<int64_t, kRank> place = {0, 1, 2, 3};  // of each axis of `value` in `at`
  const Value* at = &value;
  while (at != nullptr && at->type.is_tensor() && at->type.rank() == kRank) {
    const Node* node = at->producer();
    if (node == nullptr || has_channels_second(node->op().name)) {
      const int64_t channels = node == nullptr && of_input == ImageLayout::kNhwc ? 3 : 1;
      const int64_t axis = std::ranges::find(place, channels) - place.begin();
      if (place[0] == 0 && (axis == 1 || axis == 3)) return axis;
      return std::nullopt;
    }
    if (node->op().name == "Transpose") {
      std::vector<int64_t> permutation = {3, 2, 1, 0};
      if (node->attrs.has("perm")) permutation = node->attrs.integers("perm");
      if (permutation.size() != kRank) return std::nullopt;
      for (int64_t& axis : place) axis = permutation[static_cast<size_t>(axis)];
    } else if (!keeps_axes(*node)) {
      return std::nullopt;
    }
    at = map_of(*node);
  }
  return std::nullopt;
}

}  // namespace gannet
