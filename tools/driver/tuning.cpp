#include "tools/driver/tuning.h"

#include <fmt/format.h>

#include <numeric>

#include "passes/transformer_places.h"
#include "runtime/training/batches.h"
#include "tools/deploy/arguments.h"
#include "tools/driver/co_teaching.h"
#include "tools/driver/rates_by_layer.h"
#include "tools/driver/tune_options.h"
#include "tools/driver/weak_tuning.h"

namespace gannet {

namespace {

// `batch_statistics`: the step normalizes by the batch, for which one row is too few.
Status make_batches(TuneBatches& batches, const TuneArguments& arguments, bool batch_statistics) {
  const BatchRequest for_measures = {arguments.batch_size, arguments.seed, false};
  const bool synthetic = batches.rows->target_of_class.values.defined();
  const BatchRequest for_training = {arguments.batch_size, arguments.seed, batch_statistics, synthetic};
  if (batches.held_out_rows) {
    batches.held_out = TRY(batches.held_out_rows->batches(std::nullopt, for_measures));
    batches.held_out_numbers.resize(static_cast<size_t>(batches.held_out_rows->rows()));
    std::iota(batches.held_out_numbers.begin(), batches.held_out_numbers.end(), 0);
  }
  if (batches.held_out_rows || !arguments.eval_fraction || *arguments.eval_fraction == 0) {
    batches.train_numbers.resize(static_cast<size_t>(batches.rows->rows()));
    std::iota(batches.train_numbers.begin(), batches.train_numbers.end(), 0);
    batches.train = TRY(batches.rows->batches(std::nullopt, for_training));
    if (synthetic && !batches.held_out)
      batches.labelled = TRY(batches.rows->batches(std::nullopt, for_measures));
    return {};
  }
  const Tensor& groups = batches.rows->groups.defined() ? batches.rows->groups : batches.rows->target.values;
  const bool stratified = is_int(groups.dtype()) && groups.rank() == 1;
  const Result<RowSplit> split = split_rows(batches.rows->rows(), stratified ? &groups : nullptr,
                                            *arguments.eval_fraction, arguments.seed);
  if (!split.ok()) return with_prefix(batches.rows->target.file + ": ", split.error());
  batches.held_out = TRY(batches.rows->batches(split->held_out, for_measures));
  batches.held_out_numbers = split->held_out;
  batches.train_numbers = split->train;
  batches.train = TRY(batches.rows->batches(split->train, for_training));
  return {};
}

// Puts the rows of --unlabeled beside the labelled ones.
Status add_unlabelled(Tuning& tuning, TuneTask& task, const TrainStep& step, const TuneArguments& arguments) {
  TuneBatches& batches = tuning.batches;
  const size_t inputs = step.graph->inputs().size();
  const DType weight_dtype = step.graph->inputs()[inputs - 3]->type.dtype;
  WeakTuning weak =
      TRY(make_weak_tuning(task, *batches.rows, batches.train_numbers, weight_dtype, arguments));
  if (!batches.labelled) batches.labelled = std::move(batches.train);
  batches.train = std::move(weak.batches);
  tuning.ramp = weak.ramp;
  fmt::print("{}\n", weak.summary);
  return {};
}

// The step for these rows, and the loss that they ask for.
Result<TrainStep> make_step(Tuning& tuning, const TuneArguments& arguments) {
  const Graph& graph = tuning.model.graph();
  TargetColumn& target = tuning.batches.rows->target;
  TrainStepOptions& options = tuning.options;
  options.loss = TRY(loss_of(arguments.loss, arguments.loss_options, target));
  Result<TrainStep> step = build_train_step(graph, options);
  if (!step.ok()) return with_prefix(arguments.model.path + ": ", step.error());
  TRY(fit_target(graph, *step, options.loss, target));
  TargetColumn& of_class = tuning.batches.rows->target_of_class;
  if (of_class.values.defined()) TRY(fit_target(graph, *step, options.loss, of_class));
  if (tuning.batches.held_out_rows)
    TRY(fit_target(graph, *step, options.loss, tuning.batches.held_out_rows->target));
  options.loss.class_weights = TRY(class_weights_of(arguments.class_weights, options.loss, target,
                                                    class_count(graph, step->trained_output, options.loss)));
  if (!options.loss.class_weights.empty()) step = build_train_step(graph, options);
  if (!step.ok()) return with_prefix(arguments.model.path + ": ", step.error());
  return step;
}

// Rates by layer, and layers that wait for the head: known once the updates of an epoch are.
Status set_rates(Tuning& tuning, const TuneArguments& arguments) {
  if (arguments.unfreeze_after == 0 && arguments.depth_decay == 1) return {};
  const std::optional<HeadReport>& head = tuning.model.head;
  if (arguments.unfreeze_after > 0 && !head)
    return invalid_input("--unfreeze-after trains a new head first, and the model keeps its own");
  const int64_t batches = tuning.batches.train->per_epoch();
  const int64_t updates = (batches + arguments.accumulate - 1) / arguments.accumulate;
  OptimizerOptions& optimizer = tuning.options.optimizer;
  optimizer.rates = rates_by_layer(tuning.model.graph(), optimizer.rates, arguments.depth_decay,
                                   head ? head->weights : std::vector<std::string>(),
                                   arguments.unfreeze_after * updates);
  return {};
}

// What the flags ask for; else, with a new head, what the task has, where the model is a transformer.
Status set_dropout(Tuning& tuning, const TuneTask& task, TuneArguments& arguments) {
  const std::optional<HeadReport>& head = tuning.model.head;
  const double inside = task.transformer_dropout();
  if (head && inside > 0 && arguments.dropout.empty() && !transformer_places(tuning.model.graph()).empty())
    arguments.dropout.push_back(fmt::format("{}={}", kTransformerDropout, inside));
  std::vector<DropoutRule>& rules = tuning.options.dropout;
  rules = TRY(dropout_of(arguments));
  const double head_dropout = arguments.head_dropout.value_or(task.head_dropout());
  const bool takes_dropout = head && !head->features.empty();
  if (arguments.head_dropout && !takes_dropout)
    return invalid_input("--head-dropout: the model gets no new head");
  if (takes_dropout && head_dropout > 0) rules.push_back({head->features, head_dropout});
  return {};
}

// The options that are known before the model and the data are.
Status set_options(TrainStepOptions& options, const TuneArguments& arguments) {
  options.optimizer = TRY(optimizer_of(arguments));
  options.output_name = arguments.trained_output;
  options.accumulate = arguments.accumulate > 1;
  if (arguments.weak.used()) options.weak = weak_loss_of(arguments.weak);
  options.batch_norm_momentum = arguments.batch_norm_momentum;
  return {};
}

}  // namespace

Result<Tuning> prepare_tuning(TuneTask& task, TuneArguments& arguments) {
  Tuning tuning;
  ImportedModel original = TRY(load_model(arguments.model));
  TRY(task.settle(original, arguments));
  TRY(set_options(tuning.options, arguments));
  tuning.model = TRY(make_tune_model(std::move(original), task.metadata(), arguments));
  if (const size_t count = tuning.model.changed_normalizations.size(); count > 0) {
    fmt::print("{}: {} batch normalizations are in training mode; the tuned file has them in the form for inference\n",
               printable(arguments.model.path), count);
  }
  TRY(set_dropout(tuning, task, arguments));
  tuning.options.co_teaching = TRY(co_teaching_of(tuning.model, task.metadata(), arguments));
  const Graph& graph = tuning.model.graph();
  tuning.batches.rows = TRY(task.training_rows(graph, arguments));
  if (!arguments.eval.empty()) tuning.batches.held_out_rows = TRY(task.held_out_rows(graph, arguments));
  TrainStep step = TRY(make_step(tuning, arguments));
  TRY(make_batches(tuning.batches, arguments, !step.running_statistics.empty()));
  if (arguments.weak.used()) TRY(add_unlabelled(tuning, task, step, arguments));
  TRY(set_rates(tuning, arguments));
  if (tuning.options.co_teaching)
    tuning.options.co_teaching->ramp_batches = arguments.forget_epochs * tuning.batches.train->per_epoch();
  if (arguments.unfreeze_after > 0 || arguments.depth_decay != 1 || tuning.options.co_teaching)
    step = TRY(build_train_step(graph, tuning.options));
  tuning.trainer.target_column = graph.inputs().size();
  tuning.trainer.second_view = task.second_view(arguments);
  tuning.normalizes_by_batch = !step.running_statistics.empty();
  tuning.metrics = metrics_of(tuning.options.loss, step, arguments.top);
  tuning.summary = {arguments.model.path,
                    tuning.model.parameters(),
                    tuning.model.weights,
                    tuning.batches.train->rows(),
                    tuning.batches.held_out ? tuning.batches.held_out->rows() : 0,
                    tuning.options,
                    step.trained_output,
                    step.skipped_ending,
                    tuning.model.head,
                    tuning.model.widened,
                    tuning.model.low_rank.size()};
  if (arguments.max_memory.empty()) {
    tuning.engine = std::make_unique<TrainingEngine>(
        TRY(make_engine(tuning.model, std::move(step), tuning.options, arguments)));
  }
  return tuning;
}

}  // namespace gannet
