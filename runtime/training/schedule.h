// Learning rates as pure functions of the step, so that a resumed run needs nothing but its position.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace gannet {

enum class ScheduleKind { kConstant, kLinear, kCosine, kStep, kOneCycle };

struct RateSchedule {
  ScheduleKind kind = ScheduleKind::kConstant;
  double rate = 0.01;        // the highest rate
  int64_t total_steps = 1;   // of the whole run; what the shape is stretched over
  int64_t warmup_steps = 0;  // a straight rise to `rate` before the shape; the rise of one-cycle where given
  double final_share = 0;    // linear and cosine fall to rate * final_share
  int64_t step_every = 0;    // kStep: the rate is multiplied by step_factor after so many steps; 0: thirds
  double step_factor = 0.1;
};

// The rate of step 0, 1, ... total_steps - 1 (later steps have the last one's).
//
// Warm-up gives rate * (step + 1) / (warmup_steps + 1). Linear and cosine then fall over the remaining steps.
// One-cycle is Smith and Topin's "Super-convergence" (2018) in the form of PyTorch's OneCycleLR: from rate /
// 25 up over 30 % of the steps and down to rate / 250,000, both along a cosine.
double rate_at(const RateSchedule& schedule, int64_t step);

// "constant", "linear", "cosine", "step", "one-cycle", in the order of ScheduleKind.
std::span<const std::string_view> schedule_names();

}  // namespace gannet
