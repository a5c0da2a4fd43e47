#include "tools/deploy/tune_artifact.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ir/base/checked.h"
#include "runtime/core/artifact.h"
#include "runtime/training/progress.h"
#include "runtime/training/safetensors.h"
#include "runtime/training/trainer.h"
#include "tools/deploy/arguments.h"
#include "tools/deploy/array_rows.h"
#include "tools/deploy/image_metadata.h"
#include "tools/deploy/image_rows.h"
#include "tools/deploy/interrupt.h"
#include "tools/deploy/output_path.h"
#include "tools/deploy/picture_input.h"
#include "tools/deploy/run_artifact.h"
#include "tools/deploy/training_report.h"
#include "tools/deploy/training_target.h"

namespace gannet {

namespace {

constexpr int64_t kPictureCache = int64_t{1} << 29;  // bytes of decoded pictures that are kept
constexpr const char* kGroup = "Fine-tuning, of a file that gannet compile --train wrote";

std::vector<InputSpec> model_inputs(const TrainingPart& part) {
  std::vector<InputSpec> specs = input_specs(*part.evaluation);
  specs.resize(part.model_inputs());
  return specs;
}

struct TuneRows {
  std::unique_ptr<LabelledRows> rows;
  Metadata metadata;  // what the model learns by pictures, as gannet tune writes it
};

struct TuneData {
  TuneBatches batches;
  Metadata metadata;  // of the rows to train on
};

// A folder with a folder for each class. `classes` are their names by class number.
Result<std::unique_ptr<PictureRows>> read_pictures(const std::string& folder, const TargetProgram& file, const std::vector<std::string>& classes,
                                                   const TuneArtifactArguments& arguments) {
  const TrainingPlan& plan = file.training->plan;
  const std::vector<InputSpec> inputs = model_inputs(*file.training);
  std::optional<InputNormalization> normalization;
  if (plan.pixel_scale > 0) normalization.emplace(InputNormalization{plan.pixel_scale, "in its first nodes"});
  ImageReading reading;
  reading.options = TRY(picture_input(arguments.path, inputs, file.program->metadata, normalization, arguments.image)).options;
  reading.options.dtype = inputs[0].type.dtype;
  reading.threads = arguments.threads;
  reading.cache_bytes = kPictureCache;
  ImageListOptions options;
  options.classes = classes;
  ImageList list = TRY(list_image_folder(folder, options));
  const auto count = static_cast<int64_t>(classes.size());
  if (plan.target.classes && *plan.target.classes != count)
    return invalid_input(fmt::format("{}: has folders for {} classes, output '{}' has {}", folder, count, plan.target.output, *plan.target.classes));
  std::unique_ptr<PictureRows> rows = TRY(open_pictures(list, reading));
  fmt::print("{}", left_out_text(*rows));
  return rows;
}

Result<TuneRows> read_rows(const std::string& data, const TargetProgram& file, const std::vector<std::string>& classes,
                           const TuneArtifactArguments& arguments) {
  const TrainingPart& part = *file.training;
  std::error_code error;
  TuneRows read;
  if (std::filesystem::is_directory(data, error)) {
    std::unique_ptr<PictureRows> pictures = TRY(read_pictures(data, file, classes, arguments));
    read.metadata = classifier_metadata(classes, /*several_labels=*/false, pictures->reading.options);
    read.rows = std::move(pictures);
  } else {
    read.rows = TRY(read_array_rows(data, model_inputs(part), arguments.target, arguments.limits));
  }
  TRY(fit_target(part.plan.target, read.rows->target));
  return read;
}

// Names that the model brings, by which a class keeps its number; else the folders' names are numbered in order.
Result<std::vector<std::string>> classes_of(const TrainingPart& part, const std::string& data) {
  const std::vector<std::string>& known = part.plan.class_names;
  const ImageList list = TRY(list_image_folder(data));
  if (known.empty()) return list.classes;
  for (const std::string& name : list.classes) {
    if (std::ranges::find(known, name) == known.end())
      return invalid_input(fmt::format("{}: folder '{}' is none of the classes that the model names: {}", data, name, fmt::join(known, ", ")));
  }
  return known;
}

Result<TuneData> read_data(const TargetProgram& file, const TuneArtifactArguments& arguments) {
  const TrainingPart& part = *file.training;
  TuneData data;
  TuneBatches& batches = data.batches;
  std::vector<std::string> classes;
  std::error_code error;
  if (std::filesystem::is_directory(arguments.data, error)) {
    if (!arguments.target.empty()) return invalid_input("--target names an array, and the data are a folder of pictures");
    classes = TRY(classes_of(part, arguments.data));
    for (size_t i = 0; i < classes.size(); ++i) fmt::print("class {}: {}\n", i, printable(classes[i]));
  } else if (any_given(arguments.image)) {
    return invalid_input(fmt::format("{}: arrays are taken as they are; --image-size, --scale and their like are for pictures", arguments.data));
  }
  TuneRows read = TRY(read_rows(arguments.data, file, classes, arguments));
  batches.rows = std::move(read.rows);
  data.metadata = std::move(read.metadata);
  if (!arguments.eval.empty()) batches.held_out_rows = TRY(read_rows(arguments.eval, file, classes, arguments)).rows;
  const int64_t batch_size = arguments.batch_size.value_or(part.plan.defaults.batch_size);
  TRY(make_batches(batches, {batch_size, arguments.seed, arguments.eval_fraction, part.plan.batch_statistics}));
  return data;
}

// A safetensors file's metadata, where those of the model have a prefix.
std::map<std::string, std::string> as_file_metadata(const Metadata& metadata) {
  std::map<std::string, std::string> result;
  for (const auto& [key, value] : metadata) result[kModelMetadata + key] = value;
  return result;
}

RateArguments learning_of(const TrainingDefaults& defaults, const RateArguments& given) {
  RateArguments learning = {defaults.rate, defaults.schedule, defaults.warmup, defaults.final_share, defaults.step_every, defaults.step_factor};
  if (given.rate) learning.rate = given.rate;
  if (!given.schedule.empty()) learning.schedule = given.schedule;
  if (!given.warmup.empty()) learning.warmup = given.warmup;
  return learning;
}

Result<TrainerOptions> trainer_options(const TrainingPart& part, const TuneBatches& batches, const Metrics& metrics,
                                       const TuneArtifactArguments& arguments) {
  const TrainingDefaults& defaults = part.plan.defaults;
  TrainerOptions options;
  options.accumulate = arguments.accumulate.value_or(defaults.accumulate);
  if (options.accumulate > 1 && !part.apply)
    return invalid_input("--accumulate: it has a step for one batch an update; compile it with --train --accumulate");
  const int64_t per_epoch = (batches.train->per_epoch() + options.accumulate - 1) / options.accumulate;
  const std::optional<int64_t> epochs = checked_mul(arguments.epochs.value_or(defaults.epochs), per_epoch);
  if (!epochs && !arguments.steps) return invalid_input("--epochs: that many updates cannot be counted");
  const int64_t total = arguments.steps ? *arguments.steps : *epochs;
  const RateArguments learning = learning_of(defaults, arguments.learning);
  options.schedule = TRY(schedule_of(learning, *learning.rate, total));
  options.seed = arguments.seed;
  options.target_column = part.model_inputs();
  options.patience = arguments.patience;
  if (arguments.patience > 0 && !batches.held_out) return invalid_input("--patience needs --eval or --eval-fraction");
  options.choose_by = arguments.best_by.empty() ? best_measure(part.plan.target) : arguments.best_by;
  TRY(check_measure(metrics, options.choose_by, part.plan.target));
  options.stop = &InterruptRequest::requested();
  return options;
}

Result<std::unique_ptr<GraphRunner>> make_runner(const std::shared_ptr<const Program>& program, const TuneArtifactArguments& arguments) {
  std::unique_ptr<Session> session = TRY(make_session(program, arguments.threads, arguments.seed, arguments.limits));
  return make_session_runner(*program, std::move(session));
}

Result<EngineGraphs> make_graphs(const TrainingPart& part, const TuneArtifactArguments& arguments) {
  EngineGraphs graphs;
  graphs.step = TRY(make_runner(part.step, arguments));
  if (part.apply) graphs.apply = TRY(make_runner(part.apply, arguments));
  graphs.evaluation = TRY(make_runner(part.evaluation, arguments));
  if (part.plan.takes_seed) graphs.seed_input = part.model_inputs();
  return graphs;
}

void print_summary(const TrainingPart& part, const TuneBatches& batches) {
  int64_t weights = 0;
  for (const ProgramState& state : part.evaluation->states)
    weights += part.evaluation->constants[static_cast<size_t>(state.initial)].elements();
  const std::string held_out = batches.held_out ? fmt::format(", {} held out", batches.held_out->rows()) : "";
  fmt::print("training {} weights of {} tensors on {} rows{}, {}\n", weights, part.evaluation->states.size(), batches.train->rows(),
             held_out, part.plan.loss);
}

// What became of the run, once the weights are written.
Status report_result(const TrainingOutcome& outcome, const TrainerOptions& options, const std::string& output) {
  if (outcome.end == TrainingEnd::kDiverged) return invalid_input(divergence_text(outcome, options.schedule.rate, output));
  if (outcome.end == TrainingEnd::kInterrupted) return invalid_input(interruption_text(outcome, output, ""));
  fmt::print("wrote {}\n", output);
  return {};
}

}  // namespace

CLI::Option* add_tune_artifact_arguments(CLI::App& command, TuneArtifactArguments& arguments) {
  const auto count = CLI::Range(int64_t{1}, int64_t{1} << 40);
  CLI::Option* tune = command.add_option("--tune", arguments.data, "train on a .npz file of arrays named as the model's inputs and labels, or a folder with pictures of each class; -o gets the weights as safetensors")
                          ->type_name("DATA")
                          ->group(kGroup);
  const std::vector<CLI::Option*> before = command.get_options(nullptr);
  CLI::Option* eval = command.add_option("--eval", arguments.eval, "held-out data of the same form")->type_name("DATA");
  command.add_option("--eval-fraction", arguments.eval_fraction, "share of the training rows to hold out, of each class alike")
      ->type_name("F")
      ->check(held_out_share())
      ->excludes(eval);
  command.add_option("--target", arguments.target, "array of labels or targets [labels, targets, y or the only one left]")->type_name("NAME");
  CLI::Option* epochs = command.add_option("--epochs", arguments.epochs, "passes over the data [what the file says]")->type_name("N")->check(count);
  command.add_option("--steps", arguments.steps, "updates of the run, in place of --epochs")->type_name("N")->check(count)->excludes(epochs);
  command.add_option("--batch-size", arguments.batch_size, "rows in a batch [what the file says]")->type_name("N")->check(count);
  command.add_option("--accumulate", arguments.accumulate, "batches in an update, of a file compiled for that [what the file says]")
      ->type_name("N")
      ->check(count);
  add_rate_arguments(command, arguments.learning, "[what the file says]", "[what the file says]");
  add_warmup_argument(command, arguments.learning, "[what the file says]");
  command.add_option("--patience", arguments.patience, "evaluations without a better one before the run ends [never]")->type_name("N")->check(count);
  command.add_option("--best-by", arguments.best_by, "the measure whose best weights are kept [accuracy for class numbers, else loss]")
      ->type_name("MEASURE");
  for (CLI::Option* option : command.get_options(nullptr)) {
    if (std::ranges::find(before, option) == before.end()) option->group(kGroup)->needs(tune);
  }
  return tune;
}

Status tune_artifact(const TuneArtifactArguments& arguments) {
  const std::string& path = arguments.path;
  if (arguments.output.empty()) return invalid_input("--tune needs -o FILE.safetensors");
  TRY(check_outputs({arguments.output}, {path, arguments.data, arguments.eval}));
  const TargetProgram file = TRY(read_trainable_artifact(path));
  const TrainingPart& part = *file.training;
  const TuneData data = TRY(read_data(file, arguments));
  const TuneBatches& batches = data.batches;
  const std::unique_ptr<Metrics> metrics = metrics_of(part.plan.target);
  const InterruptRequest interrupt;
  Result<TrainerOptions> options = trainer_options(part, batches, *metrics, arguments);
  if (!options.ok()) return with_prefix(path + ": ", options.error());
  print_summary(part, batches);
  Result<EngineGraphs> graphs = make_graphs(part, arguments);
  if (!graphs.ok()) return with_prefix(path + ": ", graphs.error());
  TrainingEngine engine(*std::move(graphs));
  fmt::print("{}\n", schedule_text(*options, part.plan.optimizer));
  Trainer trainer(engine, *batches.train, *options);
  if (batches.held_out) trainer.hold_out(*batches.held_out, *metrics);
  Progress progress(stdout);
  trainer.add_observer(progress);
  const Result<TrainingOutcome> trained = trainer.run();
  if (!trained.ok()) return with_prefix(fmt::format("{} on {}: ", path, arguments.data), trained.error());
  const TrainingOutcome& outcome = *trained;
  if (!outcome.weights.empty()) TRY(write_safetensors(arguments.output, outcome.weights, as_file_metadata(data.metadata)));
  TRY(progress.note(outcome_text(outcome, *options)));
  if (!batches.held_out && (outcome.end == TrainingEnd::kComplete || outcome.end == TrainingEnd::kNoProgress))
    TRY(progress.note(training_measures_text(TRY(trainer.evaluate(*batches.train, *metrics)))));
  return report_result(outcome, *options, arguments.output);
}

}  // namespace gannet
