// A model on labelled rows: what it says of them, and how right that is.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tools/driver/evaluation.h"
#include "tools/driver/predictions.h"
#include "tools/driver/tune_task.h"

namespace gannet {

struct MeasureOptions {
  std::string output;  // empty: the first floating point one
  int64_t batch_size = 32;
  int64_t top = 5;  // the K of top-K accuracy
  // Another view of a batch of inputs: predictions of both are averaged, and losses. Empty: there is none.
  std::function<BatchColumns(const BatchColumns&)> second_view = {};
};

// Predictions, and the targets of the same rows.
struct Measured {
  Predictions predictions;
  std::optional<Predictions> other;  // of the second view
  std::vector<float> targets;
  int64_t target_width = 1;
};

Result<Measured> measure_rows(const RunnableModel& model, const LabelledRows& rows,
                              const MeasureOptions& options);

// Each writes the loss and the report, of targets that are class numbers, shares of classes, 0 or 1 for each of
// several labels (above `thresholds`, one for all or one for each; empty: 0.5 for probabilities, else 0), or
// numbers. An error names labels that the output has no place for. Of two views the mean stays in `measured`.
Status report_classes(Measured& measured, const TargetColumn& target, int64_t top, Evaluation& evaluation);
Status report_shares(Measured& measured, const TargetColumn& target, int64_t top, Evaluation& evaluation);
Status report_labels(Measured& measured, const TargetColumn& target, std::span<const double> thresholds,
                     Evaluation& evaluation);
Status report_numbers(Measured& measured, const TargetColumn& target, Evaluation& evaluation);

}  // namespace gannet
