// What a generator makes its pictures from.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ir/base/error.h"

namespace gannet {

struct LatentOptions {
  bool uniform = false;              // in [-1, 1); else standard normal
  std::optional<double> truncation;  // numbers beyond it, on either side, are drawn again
};

// `count` numbers: those of place `place` of a seed, whatever others are asked for.
std::vector<float> draw_latent(int64_t count, uint64_t seed, int64_t place, const LatentOptions& options);
// From `a` (share 0) to `b` (share 1): along the arc between them, which keeps the length that numbers of a
// normal distribution have (K. Shoemake, "Animating rotation with quaternion curves", 1985; T. White,
// "Sampling generative networks", 2016); with `straight`, or where one is zero or they point along one line,
// on the line.
std::vector<float> interpolate_latents(std::span<const float> a, std::span<const float> b, double share,
                                       bool straight);

}  // namespace gannet
