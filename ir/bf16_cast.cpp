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

}  // namespace gannet
