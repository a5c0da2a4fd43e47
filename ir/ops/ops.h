// Declarations of the structured ops' definitions and gradient rules, one for each OP and DIFFERENTIABLE row of ops.def.
#pragma once

#include "ir/builder.h"
#include "ir/eval.h"
#include "ir/gradient_rule.h"
#include "ir/infer.h"
#include "ir/op.h"
#include "ir/vjp.h"

namespace gannet::ops {
#define OP(Name, since) extern const StructuredOp Name;
#include "ir/ops.def"
}  // namespace gannet::ops

namespace gannet::gradients {
#define DIFFERENTIABLE(Name, since) extern const GradientRule Name;
#include "ir/ops.def"
}  // namespace gannet::gradients
