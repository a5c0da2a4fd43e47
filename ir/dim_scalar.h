// Scalar bodies over dimensions: what shape arithmetic computes when extents are symbols.
#pragma once

#include <optional>
#include <span>

#include "ir/base/dim.h"
#include "ir/scalar.h"

namespace gannet {

// The value of an integer expression for these operands (bool results are 0 or 1), or nothing where it cannot be
// decided or expressed: a comparison of different symbols, a division by a symbol.
std::optional<Dim> evaluate_over_dims(const ScalarExpr& expr, std::span<const Dim> operands);

}  // namespace gannet
