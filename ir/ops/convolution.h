// What the ops that are convolutions share: the types that follow from operands [batch, channels, spatial...]
// and weights [out channels, channels / group, kernel...].
#pragma once

#include "ir/infer.h"
#include "ir/ops/convolve.h"

namespace gannet {

// Which operands are the input, the weights and the bias (-1: the op has none).
struct ConvolutionOperands {
  size_t input = 0;
  size_t weights = 1;
  int bias = -1;
};

// Checks them against each other and the attributes, and gives the shape of the result; nothing when the rank
// of the input is not known.
Result<std::optional<Shape>> convolution_shape(InferContext& c, const ConvolutionOperands& operands);

// The window of a convolution with weights of this shape: kernel_shape, or the weights' extents. Nothing when
// neither is known.
Result<std::optional<Window>> convolution_window(const Attributes& attrs, const Shape& weights);

// For extents that infer has accepted.
Result<ConvolutionGeometry> convolution_geometry(const Attributes& attrs, std::span<const int64_t> input,
                                                 std::span<const int64_t> weights,
                                                 std::span<const int64_t> output);

// Checks that `bias`, operand i, is a list of `channels` elements.
Status expect_bias(const InferContext& c, size_t i, const Dim& channels);

}  // namespace gannet
