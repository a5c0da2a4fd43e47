// How differentiation passes an op. The rules stand beside the ops' definitions (ir/ops/) but in a table of their own, so
// that a program that differentiates nothing, such as the runtime, does not link them.
#pragma once

#include "ir/op.h"

namespace gannet {

class VjpContext;  // vjp.h
using VjpFn = Status (*)(VjpContext&);

struct GradientRule {
  VjpFn vjp = nullptr;  // null: the gradient is that of the decomposition or of for_gradient
  // What a node becomes once a gradient is to pass it: the same with the outputs that its rule reads, or a composition.
  // It sets nothing where the node may stay.
  DecomposeFn for_gradient = nullptr;
};

// That of `op`, a row of the op table; its vjp sets nothing where the op has no_gradient.
const GradientRule& gradient_rule(const OpDef& op);

// A vjp for ops that exist only behind differentiation: an Unsupported error that says so.
Status missing_gradient(VjpContext& context);

}  // namespace gannet
