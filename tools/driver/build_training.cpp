#include "tools/driver/build_training.h"

#include <fmt/format.h>

#include <limits>

#include "passes/build_evaluation.h"
#include "tools/deploy/label_metadata.h"
#include "tools/driver/compile.h"
#include "tools/driver/model_pictures.h"
#include "tools/driver/train_step_options.h"
#include "tools/driver/tune_options.h"
#include "tools/driver/tune_report.h"
#include "tools/driver/tune_target.h"

namespace gannet {

namespace {

// What there is to know of the loss without data.
Status set_loss(TrainStepOptions& options, const Graph& graph, const TuneArguments& arguments) {
  options.loss = TRY(loss_of_output(arguments.loss, arguments.loss_options, graph, arguments.trained_output));
  if (arguments.class_weights == "balanced")
    return invalid_input("--class-weights balanced: how rare a class is shows in rows, and there are none yet; give the weights");
  options.loss.class_weights = TRY(class_weights_of(arguments.class_weights, options.loss, {}, std::nullopt));
  return {};
}

TrainingDefaults defaults_of(const TuneArguments& arguments) {
  TrainingDefaults defaults;
  defaults.epochs = arguments.epochs;
  defaults.batch_size = arguments.batch_size;
  defaults.accumulate = arguments.accumulate;
  defaults.rate = rate_of(arguments);
  defaults.schedule = arguments.learning.schedule;
  defaults.warmup = arguments.learning.warmup;
  defaults.final_share = arguments.learning.final_share;
  defaults.step_every = arguments.learning.step_every;
  defaults.step_factor = arguments.learning.step_factor;
  return defaults;
}

Result<std::shared_ptr<const Program>> program_of(Graph& graph, const CompileOptions& options) {
  return std::shared_ptr<const Program>(TRY(compile_graph(graph, options, "training")).program);
}

}  // namespace

Result<TuneModel> model_to_train(const TuneArguments& arguments, const CompileOptions& options) {
  TuneArguments own = arguments;
  own.compile = options;
  return make_tune_model(TRY(load_model(own.model)), {}, own);
}

Result<std::shared_ptr<const TrainingPart>> build_training(TuneArguments arguments, const CompileOptions& options) {
  // Whatever the number of updates will be.
  TRY(schedule_of(arguments.learning, rate_of(arguments), std::numeric_limits<int32_t>::max()));
  ImportedModel original = TRY(load_model(arguments.model));
  const std::optional<InputNormalization> normalization = normalization_of(*original.graph);
  const std::vector<std::string> names = label_names_of(original.info.metadata);
  arguments.compile = options;
  const TuneModel model = TRY(make_tune_model(std::move(original), {}, arguments));
  const Graph& graph = model.graph();
  TrainStepOptions step_options = TRY(step_options_of(arguments));
  TRY(set_dropout(step_options, model, {}, arguments));
  TRY(set_loss(step_options, graph, arguments));
  TRY(set_rates(step_options, model, 0, arguments));
  TrainStep step = TRY(build_train_step(graph, step_options));
  const std::unique_ptr<Graph> evaluation = TRY(build_evaluation(graph, step_options, step));
  auto part = std::make_shared<TrainingPart>();
  TrainingPlan& plan = part->plan;
  plan.target = target_form(graph, step, step_options.loss, arguments.top);
  plan.loss = loss_text(step_options.loss.kind, step.trained_output, step.skipped_ending);
  plan.optimizer = name_of(step_options.optimizer.kind);
  plan.batch_statistics = !step.running_statistics.empty();
  if (plan.target.classes == static_cast<int64_t>(names.size())) plan.class_names = names;
  plan.pixel_scale = normalization ? normalization->scale : 0;
  plan.takes_seed = !step_options.dropout.empty();
  plan.defaults = defaults_of(arguments);
  part->step = TRY(program_of(*step.graph, options));
  if (step.apply) part->apply = TRY(program_of(*step.apply, options));
  part->evaluation = TRY(program_of(*evaluation, options));
  return std::shared_ptr<const TrainingPart>(std::move(part));
}

}  // namespace gannet
