// How sure a classifier is of each picture, and how different its answers are over all: the score of T.
// Salimans, I. Goodfellow, W. Zaremba, V. Cheung, A. Radford and X. Chen, "Improved techniques for training
// GANs" (2016).
#pragma once

#include <cstdint>

#include "ir/base/error.h"
#include "runtime/distribution/feature_matrix.h"

namespace gannet {

struct InceptionScore {
  double mean = 0, deviation = 0;  // over the splits
  int64_t splits = 0;
};

// The exponential of the mean divergence of p(class | picture) from p(class), in each of `splits` parts of
// the rows. The rows are put into an order of `seed` first: those of a folder are sorted by class. Rows of
// `probabilities` sum to
// 1. An error where there are fewer rows than splits.
Result<InceptionScore> inception_score(const FeatureMatrix& probabilities, int64_t splits = 10,
                                       uint64_t seed = 0);

}  // namespace gannet
