// The loss that rows or a model ask for, and what its targets and measures are.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "passes/build_train_step.h"
#include "tools/deploy/training_target.h"

namespace gannet {

// What --loss takes.
std::vector<std::string> loss_names();
// The loss that `name` names or the target asks for (where empty), with these options; class weights still to
// be found are left out.
Result<LossOptions> loss_of(const std::string& name, const LossOptions& options, const TargetColumn& target);
// The same where there are no data yet. Where `name` is empty, the output that is trained (`output`, or where that is
// empty the first floating point one) says it: cross entropy for several classes, else mse. Targets are class numbers
// where the loss takes them, unless `options` say soft_labels.
Result<LossOptions> loss_of_output(const std::string& name, const LossOptions& options, const Graph& model, const std::string& output);
// What `step` of `model` takes; `top`: the K of top-K accuracy.
TargetForm target_form(const Graph& model, const TrainStep& step, const LossOptions& loss, int64_t top);
// How many classes the trained output has, where its shape says so.
std::optional<int64_t> class_count(const Graph& model, const std::string& output, const LossOptions& loss);
// --class-weights as numbers: as given, or "balanced": rows / (classes * rows of the class); none where
// empty.
Result<std::vector<double>> class_weights_of(const std::string& flag, const LossOptions& loss,
                                             const TargetColumn& target, std::optional<int64_t> classes);

}  // namespace gannet
