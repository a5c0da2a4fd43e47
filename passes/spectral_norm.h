// Spectral normalization: each weight of a discriminator is used divided by its largest singular value, which power
// iteration follows from step to step. Miyato et al., "Spectral normalization for generative adversarial networks" (2018).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ir/base/tensor.h"
#include "ir/builder.h"

namespace gannet {

// A weight of rank 2 or more of convolutions, transposed convolutions and products, seen as the matrix [outputs, rest].
struct SpectralWeight {
  size_t state = 0;         // of the model
  int64_t output_axis = 0;  // of the weight
};

// The weights of `model` (whose weights are State) that are normalized: those that such layers, and nothing else, use in
// one way. Weights inside bodies, and those that reach their layer by other nodes than a Transpose, are left alone.
std::vector<SpectralWeight> spectral_weights(const Graph& model);

// A unit vector for each output to begin with, from `seed`, after `iterations` of power iteration.
Tensor initial_direction(const Tensor& weight, int64_t output_axis, uint64_t seed, int iterations = 15);

struct NormalizedWeight {
  Value* weight = nullptr;     // divided by the singular value
  Value* direction = nullptr;  // after one power iteration
};
// One power iteration from `direction` with `weight`, then `variable` (a value equal to `weight`) divided by the singular
// value u . (W v). The iteration does not depend on `variable`: a gradient with respect to it is that of W / (u . W v) with
// u and v held still, as in PyTorch.
NormalizedWeight normalize_spectrum(GraphBuilder& b, Value* weight, Value* variable, Value* direction, int64_t output_axis);

// `weight` divided by its singular value for `direction`, for export.
Tensor divided_by_spectrum(const Tensor& weight, const Tensor& direction, int64_t output_axis);

}  // namespace gannet
