// The squared maximum mean discrepancy of two sets of features under the kernel (x'y / width + 1)^3,
// unbiased: with features of Inception, the KID of M. Binkowski, D. Sutherland, M. Arbel and A. Gretton,
// "Demystifying MMD GANs" (2018).
#pragma once

#include <cstdint>

#include "ir/base/error.h"
#include "runtime/distribution/feature_matrix.h"

namespace gannet {

struct KernelDistanceOptions {
  int64_t subsets = 100;
  // Rows of each set in a subset; 0: half of the smaller set, at most 1,000. A set that has fewer is an
  // error.
  int64_t subset_size = 0;
  uint64_t seed = 0;  // of the subsets, which are drawn without replacement
  int threads = 0;
};

struct KernelDistance {
  double mean = 0, deviation = 0;  // over the subsets
  int64_t subsets = 0, subset_size = 0;
};

// An error where the widths differ or a set has fewer than two rows.
Result<KernelDistance> kernel_distance(const FeatureMatrix& first, const FeatureMatrix& second,
                                       const KernelDistanceOptions& options = {});
// Of all rows of both sets at once.
Result<double> whole_kernel_distance(const FeatureMatrix& first, const FeatureMatrix& second,
                                     int threads = 0);

}  // namespace gannet
