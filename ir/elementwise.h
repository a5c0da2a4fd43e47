// Elementwise ops: types, evaluation and gradient, all from the scalar body.
#pragma once

#include <span>

#include "ir/eval.h"
#include "ir/infer.h"
#include "ir/scalar.h"

namespace gannet {

// The infer and eval of every elementwise row of ops.def.
Status infer_elementwise(InferContext& context);
Status eval_elementwise(EvalContext& context);

// Evaluates `body` over operands broadcast to the shape of `result`, whose dtype is that of the body for the operands'
// types (a 16-bit float result is rounded once, at the end). Works block by block, so a body of n primitives takes n
// passes over data in cache.
Status evaluate_scalar(const ScalarExpr& body, std::span<const Tensor> operands, Tensor& result);

// Strides in elements with which a tensor of `extents` is read as if it had `result` extents; 0 where it is repeated.
std::vector<int64_t> broadcast_strides(std::span<const int64_t> extents, std::span<const int64_t> result);

}  // namespace gannet
