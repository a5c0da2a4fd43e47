// What the normalizing ops share: the check of per-channel parameters, mean and variance, and the gradient of x -> (x -
// mean) / deviation over any axes.
#pragma once

#include <string_view>
#include <vector>

#include "ir/builder.h"
#include "ir/infer.h"

namespace gannet {

// Operand i is a vector of `channels` elements, as far as both are known.
Status expect_channels(const InferContext& c, size_t i, std::string_view role,
                       const std::optional<Dim>& channels);

// Over some axes, which keep an extent of 1.
struct Moments {
  Value* mean = nullptr;
  Value* variance = nullptr;
};
// In f32 both follow from sums of x and its squares in f64, so that they take one pass over x: squares of f32 are exact
// there, and what cancels in the difference is far below what f32 holds of the variance.
Moments moments(GraphBuilder& b, Value* x, const std::vector<int64_t>& axes);

// x standardized over some axes.
struct Standardized {
  Value* normalized = nullptr;
  Value* deviation_inverse = nullptr;
  bool centered = true;  // false: divided by the root of the mean square, without subtracting the mean
};

// 1 / sqrt(x + epsilon)
Value* inverse_root(GraphBuilder& b, Value* x, double epsilon);
Standardized standardize(GraphBuilder& b, Value* x, const std::vector<int64_t>& axes, double epsilon,
                         bool centered);
// The gradient of x where `upstream` is that of `s.normalized`.
Value* standardize_gradient(GraphBuilder& b, const Standardized& s, Value* upstream,
                            const std::vector<int64_t>& axes);

}  // namespace gannet
