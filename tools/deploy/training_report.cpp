#include "tools/deploy/training_report.h"

#include <fmt/format.h>

#include <cmath>

#include "tools/deploy/interrupt.h"

namespace gannet {

namespace {

constexpr const char* kNothingTrained = "interrupted before the first update: nothing was written";

std::string best_text(const TrainingOutcome& outcome, const TrainerOptions& trainer) {
  return fmt::format("best {} {:.4g} after update {}", trainer.choose_by, *outcome.best, outcome.best_step);
}

std::string chosen_text(const TrainingOutcome& outcome) {
  return outcome.best ? fmt::format("the best weights so far, of update {}", outcome.best_step)
                      : fmt::format("the weights after update {}", outcome.step);
}

}  // namespace

std::string schedule_text(const TrainerOptions& trainer, const std::string& optimizer) {
  const RateSchedule& schedule = trainer.schedule;
  const std::string_view name = schedule_names()[static_cast<size_t>(schedule.kind)];
  const std::string warmup =
      schedule.warmup_steps > 0 ? fmt::format(", {} of them warm-up", schedule.warmup_steps) : "";
  return fmt::format("{}, learning rate {:g}, {} over {} updates{}", optimizer, schedule.rate,
                     name, schedule.total_steps, warmup);
}

std::string outcome_text(const TrainingOutcome& outcome, const TrainerOptions& trainer) {
  std::string text;
  switch (outcome.end) {
    case TrainingEnd::kComplete:
      text = fmt::format("done after {} updates", outcome.step);
      break;
    case TrainingEnd::kNoProgress:
      text = fmt::format("stopped after {} updates: no progress in {} evaluations", outcome.step,
                         trainer.patience);
      break;
    case TrainingEnd::kInterrupted:
      text = fmt::format("interrupted after {} updates", outcome.step);
      break;
    case TrainingEnd::kDiverged:
      text = fmt::format("diverged at update {}", outcome.step);
      break;
  }
  return outcome.best ? text + ", " + best_text(outcome, trainer) : text;
}

std::string training_measures_text(const std::vector<Measure>& measures) {
  std::string text;
  for (const Measure& measure : measures) {
    if (text.empty() && measure.name != "loss")
      text = fmt::format("{} on the training data {:.4f}", measure.name, measure.value);
    else if (!text.empty())
      text += fmt::format("  {} {:.4f}", measure.name, measure.value);
  }
  return text;
}

std::string divergence_text(const TrainingOutcome& outcome, double rate, const std::string& output) {
  const std::string written = outcome.weights.empty()
                                  ? "nothing was written"
                                  : fmt::format("{} holds {}", output, chosen_text(outcome));
  return fmt::format(
      "the loss is {} at update {}: the training diverges, try a smaller --lr than {:g} or --clip-norm 1; {}",
      std::isnan(outcome.loss) ? "NaN" : "infinite", outcome.step, rate, written);
}

std::string interruption_text(const TrainingOutcome& outcome, const std::string& output,
                              const std::string& checkpoint) {
  if (outcome.weights.empty()) return kNothingTrained;
  const std::string next = checkpoint.empty() ? "" : fmt::format("; --resume goes on from {}", checkpoint);
  return fmt::format("interrupted after update {}: {} holds {}{}", outcome.step, output, chosen_text(outcome),
                     next);
}

Status check_not_interrupted() { return InterruptRequest::requested() ? Status(invalid_input(kNothingTrained)) : Status(); }

}  // namespace gannet
