#include "ir/bf16_cast.h"

#include "ir/op.h"

namespace gannet {
namespace {

bool casts(const Node& node, DType from, DType to) {
  if (node.op().name != "Cast" || !node.output()) return false;
  const Type &x = node.input(0)->type, &y = node.output()->type;
  return x.is_tensor() && x.dtype == from && y.dtype == to;
}

}  // namespace

bool widens_bf16(const Node& node) { return casts(node, DType::kBF16, DType::kF32); }
bool rounds_to_bf16(const Node& node) { return casts(node, DType::kF32, DType::kBF16); }

bool is_widened(const Value* value) { return value && value->producer() && widens_bf16(*value->producer()); }

const Value* before_rounding(const Value* value) {
  const Node* rounding = is_widened(value) ? value->producer()->input(0)->producer() : nullptr;
  return rounding && rounds_to_bf16(*rounding) ? rounding->input(0) : nullptr;
}

}  // namespace gannet
