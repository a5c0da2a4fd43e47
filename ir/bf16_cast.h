// Casts between bf16 and f32, which say where numbers are rounded. The body of a `Fused` node with a
// contraction of bf16 holds, besides what ir/epilogue.h says, the Casts that widen both operands of the
// contraction and whole operands of the epilogue, and at its very end one that rounds the result: so it says
// that sums and epilogue are f32. A maximum pooling may have both as well.
#pragma once

#include "ir/graph.h"

namespace gannet {

// True for a Cast of bf16 to f32.
bool widens_bf16(const Node& node);
// True for a Cast of f32 to bf16.
bool rounds_to_bf16(const Node& node);
// True for what such a Cast of bf16 to f32 makes.
bool is_widened(const Value* value);
// What is rounded to bf16 and widened again to make `value`; null where something else makes it.
const Value* before_rounding(const Value* value);

}  // namespace gannet
