#include "tools/driver/gan_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

#include "runtime/core/session.h"
#include "runtime/training/gan_trainer.h"
#include "runtime/training/progress.h"
#include "runtime/training/training_log.h"
#include "tools/deploy/arguments.h"
#include "tools/deploy/interrupt.h"
#include "tools/deploy/label_metadata.h"
#include "tools/driver/gan_arguments.h"
#include "tools/driver/gan_models.h"
#include "tools/driver/gan_pictures.h"
#include "tools/driver/gan_programs.h"
#include "tools/driver/gan_samples.h"
#include "tools/driver/row_flags.h"

namespace gannet {

namespace {

Status make_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  return error ? Status(io_error(fmt::format("{}: cannot be made: {}", path, error.message()))) : Status();
}

// The same latents for every sample, and the classes in turn.
Result<std::vector<Datum>> sample_inputs(const GanEngine& engine, const GanPictures& pictures, const GanArguments& arguments) {
  constexpr uint64_t kSampleSeed = 0x5a4d;
  std::vector<int64_t> classes;
  for (int64_t i = 0; i < arguments.samples; ++i) classes.push_back(i % std::max<int64_t>(pictures.classes, 1));
  const BatchColumns batch = {Tensor(), Tensor::of_ints(classes)};
  return gan_inputs(engine.programs().generation.inputs, batch, arguments.samples, {}, step_seed(arguments.seed, kSampleSeed));
}

void print_summary(const GanModels& models, const GanPictures& pictures, const GanStepOptions& options, const GanArguments& arguments) {
  fmt::print("generator: {} weights of {} tensors; discriminator: {} of {}\n", models.generator.parameters(),
             models.generator.weights.trained.size(), models.discriminator.parameters(), models.discriminator.weights.trained.size());
  const Graph& discriminator = models.discriminator.graph();
  const Value* output = discriminator.outputs[models.pair.scores].value;
  const bool skips = logit_of(const_cast<Value*>(output)) != output;
  fmt::print("{} pictures of {}, {} loss{}, {} and {} updates a round\n", pictures.batches->rows(), to_string(models.pair.form),
             arguments.loss, skips ? " on the logits before the discriminator's Sigmoid" : "", discriminator_steps(arguments),
             generator_steps(arguments));
  for (const std::string& text : models.notes) fmt::print("{}\n", printable(text));
  for (const std::string& text : pictures.notes) fmt::print("{}\n", text);
  const size_t statistics = models.generator.weights.running_statistics.size() + models.discriminator.weights.running_statistics.size();
  if (statistics > 0)
    fmt::print("batch normalization: by the batch, real and generated pictures apart; {} running statistics follow\n", statistics);
  if (options.gradient_penalty > 0 && !models.discriminator.weights.running_statistics.empty())
    fmt::print("the gradient penalty is of each picture alone, which normalizing by the batch is not: a discriminator with "
               "layer or instance normalization, or none, suits it better\n");
}

Result<std::optional<Checkpoint>> take_up(const CheckpointStore& store, bool resume, const Limits& limits) {
  const std::vector<int64_t> steps = store.steps();
  if (!resume) {
    if (steps.empty()) return std::optional<Checkpoint>();
    return invalid_input(fmt::format("{}: holds checkpoints of an earlier run, up to round {}; go on with --resume, or name another folder",
                                     store.folder(), steps[0]));
  }
  std::vector<std::string> damaged;
  std::optional<Checkpoint> checkpoint = TRY(store.latest(damaged, limits));
  for (const std::string& text : damaged) fmt::print("passed over: {}\n", printable(text));
  if (!checkpoint) fmt::print("{}: no checkpoint yet, starting anew\n", printable(store.folder()));
  return checkpoint;
}

GanTrainerOptions trainer_options(const GanArguments& arguments) {
  GanTrainerOptions options;
  options.discriminator_rate = gan_schedule(arguments, arguments.discriminator);
  options.generator_rate = gan_schedule(arguments, arguments.generator);
  options.discriminator_steps = discriminator_steps(arguments);
  options.generator_steps = generator_steps(arguments);
  options.instance_noise = arguments.instance_noise;
  options.seed = arguments.seed;
  options.sample_every = arguments.sample_every;
  options.checkpoint_every = arguments.checkpoint_every;
  options.stop = &InterruptRequest::requested();
  return options;
}

// The models that are given stay: a run can be repeated, and --resume goes on from them.
Status check_output(const GanArguments& arguments) {
  for (const char* name : {"generator.onnx", "discriminator.onnx"}) {
    const std::string written = arguments.output + "/" + name;
    for (const std::string& given : {arguments.generator.path, arguments.discriminator.path}) {
      std::error_code error;
      if (std::filesystem::equivalent(written, given, error))
        return invalid_input(fmt::format("--output {}: the trained model would take the place of {}; name another folder", arguments.output, given));
    }
  }
  return {};
}

// What the discriminator sees is changed as pictures of the layout that both models have.
Status set_picture_layout(const GanModels& models, DiffAugmentOptions& options) {
  if (!options.any()) return {};
  if (!models.picture)
    return invalid_input(fmt::format("--diff-augment: rows of {} are no pictures of 1 or 3 channels", to_string(models.pair.form)));
  options.channels_last = models.picture->layout == ImageLayout::kNhwc;
  return {};
}

// Weights of the newest checkpoint that can be read in the place of those that have diverged; the round that they are of, 0
// where there is none.
int64_t go_back(GanEngine& engine, const CheckpointStore& store, const Limits& limits) {
  std::vector<std::string> damaged;
  const Result<std::optional<Checkpoint>> checkpoint = store.latest(damaged, limits);
  for (const std::string& text : damaged) fmt::print("passed over: {}\n", printable(text));
  if (!checkpoint.ok() || !*checkpoint || !engine.restore((*checkpoint)->states).ok()) return 0;
  return (*checkpoint)->position.step;
}

Status finish(const GanOutcome& outcome, int64_t written_round, const GanArguments& arguments) {
  const std::string written = fmt::format("{0}/generator.onnx and {0}/discriminator.onnx", arguments.output);
  if (outcome.end == GanEnd::kDiverged) {
    const std::string left = written_round > 0 ? fmt::format("{} hold the weights after round {}", written, written_round)
                                               : "there is no checkpoint before it, no model was written";
    return invalid_input(fmt::format("a loss or a weight is not finite in round {}: the training diverges, try a smaller --lr or "
                                     "--spectral-norm; {}", outcome.round, left));
  }
  if (outcome.end == GanEnd::kInterrupted)
    return invalid_input(fmt::format("interrupted after round {}: {} hold the weights so far; --resume goes on", outcome.round, written));
  fmt::print("wrote {}\n", printable(written));
  return {};
}

// Both models; which class is which stands in a conditional generator's file.
Status write_models(const GanModels& models, const GanStepOptions& options, const NamedTensors& states,
                    const std::vector<std::string>& classes, const GanArguments& arguments, const Limits& limits) {
  TRY(export_gan(models, options, states, arguments.output, limits));
  if (!models.pair.generator_class || classes.empty()) return {};
  return add_metadata(arguments.output + "/generator.onnx", {{"id2label", id_to_label_text(classes)}}, limits);
}

// An animation is no reason to fail when the models are written.
void animate(const GanArguments& arguments, int64_t last) {
  const Status written = write_animation(arguments.output + "/samples", {arguments.sample_every, last}, arguments.output + "/samples.gif");
  if (!written.ok()) fmt::print("no animation: {}\n", printable(written.error().message));
}

Status run_gan(const GanArguments& arguments) {
  GanStepOptions options = TRY(gan_step_options(arguments));
  TRY(check_output(arguments));
  Limits limits = default_limits();
  for (const std::string& assignment : arguments.limits) TRY(set_limit(limits, assignment));
  InterruptRequest interrupt;
  const GanModels models = TRY(load_gan_models(arguments));
  TRY(set_picture_layout(models, options.augment));
  GanPictures pictures = TRY(open_gan_pictures(models, arguments));
  print_summary(models, pictures, options, arguments);
  TRY(make_folder(arguments.output + "/samples"));
  CheckpointStore store = TRY(CheckpointStore::open(arguments.output + "/checkpoints"));
  std::optional<Checkpoint> checkpoint = TRY(take_up(store, arguments.resume, limits));
  GanEngine engine = TRY(make_gan_engine(models, options, arguments));
  GanTrainer trainer(engine, *pictures.batches, trainer_options(arguments));
  std::map<std::string, std::string> flags = deciding_flags(arguments);
  flags["data"] = pictures.identity;
  trainer.keep_checkpoints(store, TRY(file_identity(arguments.generator.path)) + ", " + TRY(file_identity(arguments.discriminator.path)),
                           std::move(flags));
  if (checkpoint) {
    const Status resumed = trainer.resume(*checkpoint);
    if (!resumed.ok()) return with_prefix(store.folder() + ": ", resumed.error());
    fmt::print("going on after round {}\n", checkpoint->position.step);
    checkpoint.reset();
  }
  Progress progress(stdout);
  trainer.add_observer(progress);
  const std::unique_ptr<TrainingLog> log = TRY(TrainingLog::open(arguments.output + "/log"));
  trainer.add_observer(*log);
  if (models.picture) {
    trainer.show_samples(TRY(sample_inputs(engine, pictures, arguments)), [&](int64_t round, const Tensor& samples) {
      return write_samples(samples, pictures.options, arguments.output + "/samples", round, &log->events());
    });
  }
  const GanOutcome outcome = TRY(trainer.run());
  const int64_t written = outcome.end == GanEnd::kDiverged ? go_back(engine, store, limits) : outcome.round;
  if (written > 0 || outcome.end != GanEnd::kDiverged)
    TRY(write_models(models, options, engine.states(), pictures.class_names, arguments, limits));
  if (models.picture) animate(arguments, outcome.round);
  TRY(log->finish("gannet gan", {{"generator", arguments.generator.path},
                                 {"discriminator", arguments.discriminator.path},
                                 {"loss", arguments.loss},
                                 {"rounds", fmt::to_string(outcome.round)},
                                 {"seed", fmt::to_string(arguments.seed)}}));
  return finish(outcome, written, arguments);
}

}  // namespace

CLI::App* add_gan_command(CLI::App& app, std::function<int()>& run) {
  auto arguments = std::make_shared<GanArguments>();
  CLI::App* command = add_command(app, "gan", "Train a generator against a discriminator.",
                                  "gannet gan --generator g.onnx --discriminator d.onnx --images digits/ --ema 0.999 -o out/", run,
                                  [&app, arguments] {
                                    collect_given(*app.get_subcommand("gan"), arguments->given);
                                    return run_gan(*arguments);
                                  });
  add_gan_arguments(*command, *arguments);
  return command;
}

}  // namespace gannet
