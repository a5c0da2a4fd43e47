// Sampling between elements as a composition of ops that have gradients: which elements each point takes along each axis,
// with which weights.
#pragma once

#include <span>

#include "ir/vjp.h"

namespace gannet {

// Along one axis, both [groups, points, taps]: positions as i64, inside of the axis, and weights.
struct AxisTapValues {
  Value* indices = nullptr;
  Value* weights = nullptr;
  int64_t taps = 0;
};

// Elements of `x` [groups, channels, extents...] at `points` points, an axis each: [groups, channels, points].
Value* sampled_points(GraphBuilder& b, Value* x, const Shape& x_shape, const Dim& points, std::span<const AxisTapValues> axes);

// Elements at `position` [groups, points, 1] between its two neighbours along an axis of `extent`; 0 outside.
AxisTapValues linear_taps(GraphBuilder& b, Value* position, const Dim& extent);

Status grid_sample_for_gradient(DecomposeContext& c);
Status deform_conv_for_gradient(DecomposeContext& c);

}  // namespace gannet
