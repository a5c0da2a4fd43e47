// The Fréchet distance of two normal distributions: with features of Inception, the FID of M. Heusel, H.
// Ramsauer, T. Unterthiner, B. Nessler and S. Hochreiter, "GANs trained by a two time-scale update rule
// converge to a local Nash equilibrium" (2017).
#pragma once

#include "ir/base/error.h"
#include "runtime/distribution/feature_moments.h"

namespace gannet {

// |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), of covariances of any rank. The trace of the root is the sum
// of the singular values of A'B for S1 = AA' and S2 = BB', so that nothing is squared on the way: singular
// covariances keep their digits. An error where the widths differ or a number is not finite.
Result<double> frechet_distance(const MeanAndCovariance& first, const MeanAndCovariance& second);

}  // namespace gannet
