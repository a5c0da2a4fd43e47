// What rows are trained towards: labels or numbers in the form that the training step takes, and the loss and
// measures that belong to them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "passes/build_train_step.h"
#include "runtime/training/metrics.h"

namespace gannet {

// A value, or several, for each row of a file.
struct TargetColumn {
  std::string file, name;  // for messages
  Tensor values;
};

// What --loss takes.
std::vector<std::string> loss_names();
// The loss that `name` names or the target asks for (where empty), with these options; class weights still to
// be found are left out.
Result<LossOptions> loss_of(const std::string& name, const LossOptions& options, const TargetColumn& target);
// The target as `step` takes it; every label must be a class that the trained output has.
Status fit_target(const Graph& model, const TrainStep& step, const LossOptions& loss, TargetColumn& target);
// How many classes the trained output has, where its shape says so.
std::optional<int64_t> class_count(const Graph& model, const std::string& output, const LossOptions& loss);
// --class-weights as numbers: as given, or "balanced": rows / (classes * rows of the class); none where
// empty.
Result<std::vector<double>> class_weights_of(const std::string& flag, const LossOptions& loss,
                                             const TargetColumn& target, std::optional<int64_t> classes);
// What to measure, and which measure says what is best.
std::unique_ptr<Metrics> metrics_of(const LossOptions& loss, const TrainStep& step, int64_t top = 5);
std::string best_measure(const LossOptions& loss);

}  // namespace gannet
