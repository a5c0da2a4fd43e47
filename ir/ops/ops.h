// Declarations of the structured ops' definitions, one for each OP row of ops.def.
#pragma once

#include "ir/builder.h"
#include "ir/eval.h"
#include "ir/infer.h"
#include "ir/op.h"
#include "ir/vjp.h"

namespace gannet::ops {
#define OP(Name, since) extern const StructuredOp Name;
#include "ir/ops.def"
}  // namespace gannet::ops
