#include "tools/driver/tune_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "tools/deploy/arguments.h"
#include "tools/deploy/training_report.h"

namespace gannet {

namespace {

std::string data_text(const TuneSummary& summary) {
  return summary.held_out_rows > 0 ? fmt::format("{} rows, {} held out", summary.rows, summary.held_out_rows)
                                   : fmt::format("{} rows", summary.rows);
}

std::string loss_text(const TuneSummary& summary) {
  return loss_text(summary.options.loss.kind, summary.trained_output, summary.skipped_ending);
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

}  // namespace

std::string loss_text(Loss loss, const std::string& output, const std::string& ending) {
  return fmt::format("{} of '{}'{}", name_of(loss), printable(output),
                     ending.empty() ? "" : fmt::format(", on the logits before its {}", ending));
}

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

std::vector<std::pair<std::string, std::string>> facts_of(const TuneSummary& summary,
                                                          const TrainerOptions& trainer,
                                                          const TrainingOutcome& outcome) {
  return {{"model", summary.model},
          {"weights", fmt::format("{} in {} tensors", summary.parameters, summary.weights.trained.size())},
          {"data", data_text(summary)},
          {"loss", loss_text(summary)},
          {"optimizer", schedule_text(trainer, std::string(name_of(summary.options.optimizer.kind)))},
          {"seed", fmt::to_string(trainer.seed)},
          {"outcome", outcome_text(outcome, trainer)}};
}

}  // namespace gannet
