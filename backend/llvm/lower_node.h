// Which nodes the code generator takes, and what their kernels are.
//
// A region, that is the body of a Fused node of kind "region" or one node alone, may hold:
// - elementwise nodes (a scalar body or Map), Cast and CastLike;
// - ReduceSum, Mean, Max, Min, Prod, L1, L2, SumSquare, LogSum, LogSumExp over constant axes, with keepdims or without;
//   Softmax, LogSoftmax, LayerNormalization, RMSNormalization, InstanceNormalization, which are built of those. All of
//   them must reduce the same axes of one iteration space;
// - ArgMax, ArgMin, OneHot;
// - Reshape, Squeeze, Unsqueeze, Flatten and Identity that only drop or add dimensions of 1;
// - of what comes from outside, before anything is computed: Transpose, Slice with positive or negative steps, Split,
//   Expand, Gather, GatherElements, Resize. Tile, DepthToSpace and SpaceToDepth stand alone.
// Some value (a result, or the operand of a reduction) must have all dimensions of the region, and every other
// one be repeated along those it lacks. Element types: f32, f64, f16, bf16, bool, and integers of 8 to 64 bits.
// Results may be any of the values; an extent that a reduction reads must be exactly the region's.
#pragma once

#include "backend/llvm/kernel_plan.h"
#include "ir/base/error.h"

namespace gannet {

// The kernel of one node or Fused region. Unsupported, with the reason, where there is none.
Result<KernelPlan> plan_node(const Node& node, Isa isa);

// Copies between windows of the same extents, of any element type with a size of 1, 2, 4 or 8 bytes.
struct CopyWindow {
  const Value* value = nullptr;
  std::vector<Dim> strides;
  Dim offset = 0;
};
Result<KernelPlan> plan_copy(const CopyWindow& from, const CopyWindow& to, const Shape& extents, Isa isa);
// Fills the value with the number that `filler` (one element) holds, or with 0 where there is none.
Result<KernelPlan> plan_fill(const Value* to, const Value* filler, Isa isa);

}  // namespace gannet
