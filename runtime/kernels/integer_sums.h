// What a recipe does with sums of integers, taken out of its epilogue: the factor that comes first, and the rounding that
// comes last, which are no post-ops of the library.
#pragma once

#include "runtime/kernels/prepare.h"

namespace gannet {

struct IntegerParts {
  onednn::IntegerSums sums;
  int32_t x_zero = 0, y_zero = 0;
  int32_t x_zero_input = -1;           // of the step, where the zero point is computed
  DType x_dtype = DType::kUndefined;   // of it
  std::vector<EpilogueStep> epilogue;  // what is left
};

bool sums_integers(const TensorLayout& x);

// `constants` are those of the step; scales belong to axis `channels` of the result. Unsupported on machines that the
// library would saturate on.
template <class Recipe>
Result<IntegerParts> integer_parts(const Recipe& recipe, const Preparation& p, size_t channels);

// Appends the operands for the zero points that `parts` has.
Status add_zero_points(std::vector<CallSequence::Operand>& operands, const IntegerParts& parts, CallSequence& sequence);

}  // namespace gannet
