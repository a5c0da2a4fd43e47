#include "tools/driver/tune_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "tools/deploy/arguments.h"

namespace gannet {

namespace {

std::string data_text(const TuneSummary& summary) {
  return summary.held_out_rows > 0 ? fmt::format("{} rows, {} held out", summary.rows, summary.held_out_rows)
                                   : fmt::format("{} rows", summary.rows);
}

std::string loss_text(const TuneSummary& summary) {
  const std::string ending = summary.skipped_ending.empty()
                                 ? ""
                                 : fmt::format(", on the logits before its {}", summary.skipped_ending);
  return fmt::format("{} of '{}'{}", name_of(summary.options.loss.kind), printable(summary.trained_output),
                     ending);
}

std::string dropout_text(const std::vector<DropoutRule>& rules) {
  std::vector<std::string> parts;
  for (const DropoutRule& rule : rules) {
    const std::string place = rule.pattern == kTransformerDropout ? "where transformers have it"
                                                                  : "behind '" + printable(rule.pattern) + "'";
    parts.push_back(fmt::format("{:g} {}", rule.ratio, place));
  }
  return fmt::format("dropout: {}", fmt::join(parts, ", "));
}

std::string best_text(const TrainingOutcome& outcome, const TrainerOptions& trainer) {
  return fmt::format("best {} {:.4g} after update {}", trainer.choose_by, *outcome.best, outcome.best_step);
}

std::string chosen_text(const TrainingOutcome& outcome) {
  return outcome.best ? fmt::format("the best weights so far, of update {}", outcome.best_step)
                      : fmt::format("the weights after update {}", outcome.step);
}

}  // namespace

void print_summary(const TuneSummary& summary) {
  const WeightReport& weights = summary.weights;
  fmt::print("training {} weights of {} tensors on {}, {}\n", summary.parameters, weights.trained.size(),
             data_text(summary), loss_text(summary));
  if (summary.head) {
    const std::string old =
        summary.head->old_classes > 0 ? fmt::format(", which had {} classes", summary.head->old_classes) : "";
    const std::string& pooling = summary.head->pooling;
    fmt::print("new head: {}{}{}\n", printable(summary.head->layer), old,
               pooling.empty() ? "" : ", reads " + pooling);
  }
  if (!summary.options.dropout.empty()) fmt::print("{}\n", dropout_text(summary.options.dropout));
  if (const auto& pair = summary.options.co_teaching)
    fmt::print("co-teaching: two models choose each other's rows, in the end all but {:g} % of a batch; the better one "
               "is written\n",
               100 * pair->forget_rate);
  if (summary.low_rank > 0) {
    fmt::print("low rank: thin matrices beside {} weights, and the last layer; all others stay\n",
               summary.low_rank);
  }
  if (summary.widened) fmt::print("16-bit floats are trained as f32 and written as they were\n");
  if (!weights.quantized.empty()) {
    fmt::print("{} tensors are codes in the file: trained as numbers that each run rounds to codes, written as codes with the same scales\n",
               weights.quantized.size());
  }
  if (!weights.integers.empty()) fmt::print("not trained, codes: {}\n", printable(fmt::format("{}", fmt::join(weights.integers, ", "))));
  if (!weights.running_statistics.empty()) {
    fmt::print("batch normalization: by the batch; {} running statistics follow\n",
               weights.running_statistics.size());
  }
  if (!weights.frozen.empty())
    fmt::print("frozen: {}\n", printable(fmt::format("{}", fmt::join(weights.frozen, ", "))));
}

std::string schedule_text(const TrainerOptions& trainer, const OptimizerOptions& optimizer) {
  const RateSchedule& schedule = trainer.schedule;
  const std::string_view name = schedule_names()[static_cast<size_t>(schedule.kind)];
  const std::string warmup =
      schedule.warmup_steps > 0 ? fmt::format(", {} of them warm-up", schedule.warmup_steps) : "";
  return fmt::format("{}, learning rate {:g}, {} over {} updates{}", name_of(optimizer.kind), schedule.rate,
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
  const std::string next = checkpoint.empty() ? "" : fmt::format("; --resume goes on from {}", checkpoint);
  return fmt::format("interrupted after update {}: {} holds {}{}", outcome.step, output, chosen_text(outcome),
                     next);
}

std::vector<std::pair<std::string, std::string>> facts_of(const TuneSummary& summary,
                                                          const TrainerOptions& trainer,
                                                          const TrainingOutcome& outcome) {
  return {{"model", summary.model},
          {"weights", fmt::format("{} in {} tensors", summary.parameters, summary.weights.trained.size())},
          {"data", data_text(summary)},
          {"loss", loss_text(summary)},
          {"optimizer", schedule_text(trainer, summary.options.optimizer)},
          {"seed", fmt::to_string(trainer.seed)},
          {"outcome", outcome_text(outcome, trainer)}};
}

}  // namespace gannet
