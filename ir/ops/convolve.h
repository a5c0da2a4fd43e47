// Convolution and its two gradients over plain arrays, for the ops that are convolutions with something
// around them. Each is a matrix product with the patches of the input, which are made a block at a time, so
// that scratch memory does not grow with the operands. T is float, double or uint32_t.
#pragma once

#include "ir/ops/window.h"

namespace gannet {

// The input is [batch, groups * in_channels, window.input...], the weights [groups * out_channels,
// in_channels, window.kernel...], the output [batch, groups * out_channels, window.output...].
struct ConvolutionGeometry {
  int64_t batch = 1;
  int64_t groups = 1;
  int64_t in_channels = 1;   // of one group
  int64_t out_channels = 1;  // of one group
  WindowGeometry window;
};

// output = input * weights, plus bias[out channel] unless it is null.
template <class T>
void convolve(const ConvolutionGeometry& g, const T* input, const T* weights, const T* bias, T* output);

// The adjoint in the input: input[i] = sum of weights[t] * output[o] over the windows o whose element t is i,
// plus bias[in channel] unless it is null. Also the transposed convolution, seen from its result.
template <class T>
void convolve_back(const ConvolutionGeometry& g, const T* output, const T* weights, const T* bias, T* input);

// The adjoint in the weights: weights[t] = sum of input[i] * output[o] over all batches and windows.
template <class T>
void convolve_weights(const ConvolutionGeometry& g, const T* input, const T* output, T* weights);

}  // namespace gannet
