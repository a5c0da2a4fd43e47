// One op on known operands, by its definition.
#pragma once

#include <span>
#include <string_view>

#include "ir/attributes.h"
#include "ir/base/error.h"
#include "ir/base/tensor.h"

namespace gannet {

// The first result of `op` (CHECKed to be in the table) for these operands, of which an undefined one is absent; not for ops
// with subgraphs. An error where operands do not fit, or the result is no tensor.
Result<Tensor> evaluate_op(std::string_view op, std::span<const Tensor> operands, const Attributes& attrs = {});

}  // namespace gannet
