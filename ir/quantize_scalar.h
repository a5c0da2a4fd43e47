// From a real number to an element of an 8- or 16-bit integer type, as a scalar expression with the meaning of QuantizeLinear.
#pragma once

#include "ir/scalar.h"

namespace gannet {

// True for the types that quantize_scalar takes.
bool is_quantized_integer(DType dtype);
// Lowest and highest number of such a type.
double lowest_of(DType dtype);
double highest_of(DType dtype);

// round(x) + zero, halves to even, kept in the range of `dtype`; `zero` alone for NaN. `x` and `zero` are f32.
ScalarExpr quantize_scalar(const ScalarExpr& x, const ScalarExpr& zero, DType dtype);

}  // namespace gannet
