// Pad in every mode. Where it is known that a border repeats no element twice, it is copies: the middle, and each part of
// the border from where it mirrors, repeats or continues. Else one kernel finds for each element where it comes from.
#pragma once

#include <vector>

#include "backend/llvm/kernel_plan.h"
#include "ir/base/error.h"

namespace gannet {

// The kernels of the Pad `node`, to be run in order. Unsupported, with the reason, where there are none.
Result<std::vector<KernelPlan>> plan_pad(const Node& node, Isa isa);

}  // namespace gannet
