// Joining tensors along an axis, for Concat and for sequences of tensors.
#pragma once

#include <span>

#include "ir/eval.h"

namespace gannet {

// The tensors joined along `axis`; they agree in dtype, rank and all other extents, or there is an error.
Result<Tensor> concat_tensors(EvalContext& c, std::span<const Tensor> parts, int64_t axis);
// `count` slices of `x` along `axis` from `first` on.
Result<Tensor> take_along(EvalContext& c, const Tensor& x, int64_t axis, int64_t first, int64_t count);

}  // namespace gannet
