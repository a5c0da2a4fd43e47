// Weights that grow over the first part of a run, as pure functions of the step.
#pragma once

#include <cstdint>

namespace gannet {

enum class RampShape {
  kLinear,    // Lee, "Pseudo-Label" (2013)
  kGaussian,  // exp(-5 (1 - t)^2): Laine and Aila, "Temporal ensembling" (2017)
};

struct RampUp {
  RampShape shape = RampShape::kLinear;
  int64_t begin = 0;  // before this step the weight is 0
  int64_t end = 0;    // from this one on it is 1
};

// The share of the full weight in step 0, 1, ...
double ramp_at(const RampUp& ramp, int64_t step);

}  // namespace gannet
