#include "runtime/training/ramp_up.h"

#include <cmath>

namespace gannet {

double ramp_at(const RampUp& ramp, int64_t step) {
  if (step >= ramp.end) return 1;
  if (step < ramp.begin) return 0;
  const double t = static_cast<double>(step - ramp.begin) / static_cast<double>(ramp.end - ramp.begin);
  return ramp.shape == RampShape::kLinear ? t : std::exp(-5 * (1 - t) * (1 - t));
}

}  // namespace gannet
