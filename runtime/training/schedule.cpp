#include "runtime/training/schedule.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

namespace gannet {

namespace {

constexpr double kOneCycleRise = 0.3;        // share of the steps
constexpr double kOneCycleStart = 1.0 / 25;  // share of the highest rate
constexpr double kOneCycleEnd = 1e-4;        // share of the first rate

double along_cosine(double from, double to, double progress) {
  return to + (from - to) / 2 * (1 + std::cos(std::numbers::pi * progress));
}

double one_cycle(const RateSchedule& schedule, double step) {
  const auto total = static_cast<double>(schedule.total_steps);
  const double rise =
      schedule.warmup_steps > 0 ? static_cast<double>(schedule.warmup_steps) : kOneCycleRise * total;
  const double top = std::max(rise - 1, 0.0);
  const double first = schedule.rate * kOneCycleStart;
  if (step <= top && top > 0) return along_cosine(first, schedule.rate, step / top);
  const double fall = total - 1 - top;
  if (fall <= 0) return schedule.rate;
  return along_cosine(schedule.rate, first * kOneCycleEnd, (step - top) / fall);
}

}  // namespace

double rate_at(const RateSchedule& schedule, int64_t step) {
  step = std::clamp<int64_t>(step, 0, std::max<int64_t>(schedule.total_steps, 1) - 1);
  if (schedule.kind == ScheduleKind::kOneCycle) return one_cycle(schedule, static_cast<double>(step));
  if (step < schedule.warmup_steps) {
    return schedule.rate * static_cast<double>(step + 1) / static_cast<double>(schedule.warmup_steps + 1);
  }
  const int64_t done = step - schedule.warmup_steps;
  const int64_t span = std::max<int64_t>(schedule.total_steps - schedule.warmup_steps, 1);
  const double progress = static_cast<double>(done) / static_cast<double>(span);
  const double last = schedule.rate * schedule.final_share;
  switch (schedule.kind) {
    case ScheduleKind::kLinear:
      return schedule.rate + (last - schedule.rate) * progress;
    case ScheduleKind::kCosine:
      return along_cosine(schedule.rate, last, progress);
    case ScheduleKind::kStep: {
      const int64_t every =
          schedule.step_every > 0 ? schedule.step_every : std::max<int64_t>((span + 2) / 3, 1);
      return schedule.rate * std::pow(schedule.step_factor, static_cast<double>(done / every));
    }
    case ScheduleKind::kConstant:
    case ScheduleKind::kOneCycle:
      break;
  }
  return schedule.rate;
}

std::span<const std::string_view> schedule_names() {
  static constexpr std::array<std::string_view, 5> kNames = {"constant", "linear", "cosine", "step",
                                                             "one-cycle"};
  return kNames;
}

}  // namespace gannet
