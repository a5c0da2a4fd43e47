// How much of one set lies where the other does, told by balls around each picture that reach its k-th
// nearest neighbour of its own set.
#pragma once

#include <cstdint>

#include "ir/base/error.h"
#include "runtime/distribution/feature_matrix.h"

namespace gannet {

struct NeighborOptions {
  int64_t manifold_neighbors = 3;  // k of precision and recall
  int64_t density_neighbors = 5;   // k of density and coverage
  int threads = 0;
};

struct NeighborMeasures {
  // T. Kynkäänniemi, T. Karras, S. Laine, J. Lehtinen and T. Aila, "Improved precision and recall metric for
  // assessing generative models" (2019): shares of the generated pictures in a ball of a real one, and of the
  // real ones in a ball of a generated one.
  double precision = 0, recall = 0;
  // M. Naeem, S. Oh, Y. Uh, Y. Choi and J. Yoo, "Reliable fidelity and diversity metrics for generative
  // models" (2020): real balls that hold a generated picture, divided by k, and the share of them that hold
  // any.
  double density = 0, coverage = 0;
};

// Memory is that of both sets in f64 and a block of distances for each thread. An error where the widths
// differ or a set has no more rows than neighbours are asked for.
Result<NeighborMeasures> neighbor_measures(const FeatureMatrix& real, const FeatureMatrix& generated,
                                           const NeighborOptions& options = {});

}  // namespace gannet
