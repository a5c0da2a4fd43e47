// Arrays to train on, brought into the form that the training step takes.
#pragma once

#include <optional>
#include <string>

#include "ir/graph.h"
#include "runtime/training/batches.h"
#include "runtime/training/metrics.h"
#include "tools/driver/tune_arguments.h"

namespace gannet {

// The columns of a file in the order of the step's inputs: those of the model, then the target.
struct TuneData {
  std::string file;
  NamedColumns columns;

  const std::string& target_name() const { return columns.back().first; }
  Tensor& target() { return columns.back().second; }
  const Tensor& target() const { return columns.back().second; }
};

// Reads the arrays of `file` that the inputs of `model` and the target need. Errors name the array.
Result<TuneData> read_tune_data(const std::string& file, const Graph& model, const TuneArguments& arguments,
                                const Limits& limits);
// The loss that --loss names or the target asks for, with its options; class weights still to be found are
// left out.
Result<LossOptions> loss_of(const TuneArguments& arguments, const TuneData& data);
// The target as `step` takes it; every label must be a class that the trained output has.
Status fit_target(const Graph& model, const TrainStep& step, const LossOptions& loss, TuneData& data);
// How many classes the trained output has, where its shape says so.
std::optional<int64_t> class_count(const Graph& model, const std::string& output, const LossOptions& loss);
// --class-weights as numbers: as given, or "balanced": rows / (classes * rows of the class).
Result<std::vector<double>> class_weights_of(const TuneArguments& arguments, const LossOptions& loss,
                                             const TuneData& data, std::optional<int64_t> classes);
// What to measure, and which measure says what is best where --best-by does not.
std::unique_ptr<Metrics> metrics_of(const LossOptions& loss, const TrainStep& step);
std::string best_measure(const TuneArguments& arguments, const LossOptions& loss);

}  // namespace gannet
