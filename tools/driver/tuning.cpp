#include "tools/driver/tuning.h"

#include <fmt/format.h>

#include "tools/deploy/arguments.h"
#include "tools/deploy/training_report.h"
#include "tools/driver/co_teaching.h"
#include "tools/driver/command.h"
#include "tools/driver/train_step_options.h"
#include "tools/driver/weak_tuning.h"

namespace gannet {

namespace {

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
  const TargetForm& form = tuning.target = target_form(graph, *step, options.loss, arguments.top);
  TRY(fit_target(form, target));
  TargetColumn& of_class = tuning.batches.rows->target_of_class;
  if (of_class.values.defined()) TRY(fit_target(form, of_class));
  if (tuning.batches.held_out_rows) TRY(fit_target(form, tuning.batches.held_out_rows->target));
  options.loss.class_weights = TRY(class_weights_of(arguments.class_weights, options.loss, target,
                                                    class_count(graph, step->trained_output, options.loss)));
  if (!options.loss.class_weights.empty()) step = build_train_step(graph, options);
  if (!step.ok()) return with_prefix(arguments.model.path + ": ", step.error());
  return step;
}

}  // namespace

Result<Tuning> prepare_tuning(TuneTask& task, TuneArguments& arguments) {
  Tuning tuning;
  ImportedModel original = TRY(load_model(arguments.model));
  TRY(check_new_model(arguments.output, *original.source, arguments.model.path));
  TRY(check_not_over_data({arguments.pictures.report}, *original.source));
  TRY(check_not_interrupted());
  TRY(task.settle(original, arguments));
  TRY(check_not_interrupted());
  tuning.options = TRY(step_options_of(arguments));
  tuning.model = TRY(make_tune_model(std::move(original), task.metadata(), arguments));
  if (const size_t count = tuning.model.changed_normalizations.size(); count > 0) {
    fmt::print("{}: {} batch normalizations are in training mode; the tuned file has them in the form for inference\n",
               printable(arguments.model.path), count);
  }
  TRY(set_dropout(tuning.options, tuning.model, {task.head_dropout(), task.transformer_dropout()}, arguments));
  tuning.options.co_teaching = TRY(co_teaching_of(tuning.model, task.metadata(), arguments));
  const Graph& graph = tuning.model.graph();
  tuning.batches.rows = TRY(task.training_rows(graph, arguments));
  if (!arguments.eval.empty()) tuning.batches.held_out_rows = TRY(task.held_out_rows(graph, arguments));
  TRY(check_not_interrupted());
  TrainStep step = TRY(make_step(tuning, arguments));
  TRY(make_batches(tuning.batches, {arguments.batch_size, arguments.seed, arguments.eval_fraction, !step.running_statistics.empty()}));
  if (arguments.weak.used()) TRY(add_unlabelled(tuning, task, step, arguments));
  const int64_t batches = tuning.batches.train->per_epoch();
  TRY(set_rates(tuning.options, tuning.model, (batches + arguments.accumulate - 1) / arguments.accumulate, arguments));
  if (tuning.options.co_teaching)
    tuning.options.co_teaching->ramp_batches = arguments.forget_epochs * batches;
  if (arguments.unfreeze_after > 0 || arguments.depth_decay != 1 || tuning.options.co_teaching)
    step = TRY(build_train_step(graph, tuning.options));
  tuning.trainer.target_column = graph.inputs().size();
  tuning.trainer.second_view = task.second_view(arguments);
  tuning.normalizes_by_batch = !step.running_statistics.empty();
  tuning.metrics = metrics_of(tuning.target);
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
  TRY(check_not_interrupted());
  if (arguments.max_memory.empty()) {
    tuning.engine = std::make_unique<TrainingEngine>(
        TRY(make_engine(tuning.model, std::move(step), tuning.options, arguments)));
  }
  return tuning;
}

}  // namespace gannet
