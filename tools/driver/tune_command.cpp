#include "tools/driver/tune_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "runtime/training/progress.h"
#include "runtime/training/trainer.h"
#include "runtime/training/training_log.h"
#include "tools/driver/interrupt.h"
#include "tools/driver/tune_data.h"
#include "tools/driver/tune_memory.h"
#include "tools/driver/tune_model.h"
#include "tools/driver/tune_report.h"

namespace gannet {

namespace {

// Rows to train on, and those to measure on where there are any.
struct TuneBatches {
  std::unique_ptr<Batches> train, held_out;
};

Result<std::unique_ptr<Batches>> make_batches(const std::string& file, NamedColumns columns,
                                              const TuneArguments& arguments, bool join_lone_row = false) {
  Result<Batches> made =
      Batches::make(std::move(columns), arguments.batch_size, arguments.seed, join_lone_row);
  if (!made.ok()) return with_prefix(file + ": ", made.error());
  return std::make_unique<Batches>(*std::move(made));
}

// `batch_statistics`: the step normalizes by the batch, for which one row is too few.
Result<TuneBatches> split_data(TuneData data, std::optional<TuneData> eval, const TuneArguments& arguments,
                               bool batch_statistics) {
  TuneBatches batches;
  if (eval) batches.held_out = TRY(make_batches(eval->file, std::move(eval->columns), arguments));
  if (eval || !arguments.eval_fraction || *arguments.eval_fraction == 0) {
    batches.train = TRY(make_batches(data.file, std::move(data.columns), arguments, batch_statistics));
    return batches;
  }
  TRY(make_batches(data.file, data.columns, arguments));  // names columns that do not fit together
  const Tensor& target = data.target();
  const bool stratified = is_int(target.dtype()) && target.rank() == 1;
  const Result<RowSplit> split =
      split_rows(target.extent(0), stratified ? &target : nullptr, *arguments.eval_fraction, arguments.seed);
  if (!split.ok()) return with_prefix(data.file + ": ", split.error());
  batches.held_out = TRY(make_batches(data.file, take_rows(data.columns, split->held_out), arguments));
  batches.train =
      TRY(make_batches(data.file, take_rows(data.columns, split->train), arguments, batch_statistics));
  return batches;
}

// Everything that a run needs, from the flags.
struct Tuning {
  TuneModel model;
  TrainStepOptions options;
  TuneSummary summary;
  std::unique_ptr<Metrics> metrics;
  TuneBatches batches;
  std::unique_ptr<TrainingEngine> engine;
  TrainerOptions trainer;
};

Result<Tuning> prepare(const TuneArguments& arguments, const Limits& limits) {
  Tuning tuning;
  TrainStepOptions& options = tuning.options;
  options.optimizer = TRY(optimizer_of(arguments));
  options.dropout = TRY(dropout_of(arguments));
  tuning.model = TRY(load_tune_model(arguments));
  const Graph& graph = tuning.model.graph();
  TuneData data = TRY(read_tune_data(arguments.train, graph, arguments, limits));
  options.loss = TRY(loss_of(arguments, data));
  options.output_name = arguments.trained_output;
  options.accumulate = arguments.accumulate > 1 || !arguments.max_memory.empty();
  options.batch_norm_momentum = arguments.batch_norm_momentum;
  Result<TrainStep> step = build_train_step(graph, options);
  if (!step.ok()) return with_prefix(arguments.model.path + ": ", step.error());
  TRY(fit_target(graph, *step, options.loss, data));
  options.loss.class_weights = TRY(class_weights_of(arguments, options.loss, data,
                                                    class_count(graph, step->trained_output, options.loss)));
  if (!options.loss.class_weights.empty()) step = build_train_step(graph, options);
  if (!step.ok()) return with_prefix(arguments.model.path + ": ", step.error());
  std::optional<TuneData> eval;
  if (!arguments.eval.empty()) {
    eval = TRY(read_tune_data(arguments.eval, graph, arguments, limits));
    TRY(fit_target(graph, *step, options.loss, *eval));
  }
  tuning.trainer.target_column = data.columns.size() - 1;
  tuning.batches =
      TRY(split_data(std::move(data), std::move(eval), arguments, !step->running_statistics.empty()));
  tuning.metrics = metrics_of(options.loss, *step);
  tuning.summary = {arguments.model.path,
                    tuning.model.parameters(),
                    tuning.model.weights,
                    tuning.batches.train->rows(),
                    tuning.batches.held_out ? tuning.batches.held_out->rows() : 0,
                    options,
                    step->trained_output,
                    step->skipped_ending,
                    tuning.model.head,
                    tuning.model.widened};
  tuning.engine =
      std::make_unique<TrainingEngine>(TRY(make_engine(tuning.model, *std::move(step), options, arguments)));
  return tuning;
}

Status check_measure(const Metrics& metrics, const std::string& name) {
  std::string all = "loss";
  bool found = name == all || name == "top5_accuracy";  // known once the classes are
  for (const Measure& measure : metrics.measures()) {
    all += ", " + measure.name;
    found |= name == measure.name;
  }
  return found ? Status() : invalid_input(fmt::format("there is no measure '{}'; there are {}", name, all));
}

Status set_up_trainer(Tuning& tuning, const TuneArguments& arguments) {
  TrainerOptions& options = tuning.trainer;
  const int64_t batches = tuning.batches.train->per_epoch();
  const int64_t per_epoch = (batches + arguments.accumulate - 1) / arguments.accumulate;
  const int64_t total = arguments.steps > 0 ? arguments.steps : arguments.epochs * per_epoch;
  options.schedule = TRY(schedule_of(arguments, total));
  options.seed = arguments.seed;
  options.accumulate = arguments.accumulate;
  options.evaluate_every = arguments.evaluate_every;
  options.checkpoint_every = arguments.checkpoint_every;
  options.patience = arguments.patience;
  options.choose_by = best_measure(arguments, tuning.options.loss);
  options.stop = &InterruptRequest::requested();
  const bool held_out = tuning.batches.held_out != nullptr;
  if (arguments.patience > 0 && !held_out) return invalid_input("--patience needs --eval or --eval-fraction");
  if (arguments.evaluate_every > 0 && !held_out)
    return invalid_input("--eval-every needs --eval or --eval-fraction");
  TRY(check_measure(*tuning.metrics, options.choose_by));
  if (arguments.max_memory.empty()) return {};
  const int64_t kept = held_out && arguments.checkpoint.empty() ? tuning.engine->state_bytes() : 0;
  const MemoryPlan plan = TRY(plan_memory(*tuning.engine, *tuning.batches.train,
                                          TRY(parse_bytes(arguments.max_memory, "--max-memory")), kept));
  options.piece_rows = plan.piece_rows;
  fmt::print("memory: {} rows at a time, about {} of {}\n", plan.piece_rows, bytes_text(plan.expected_bytes),
             arguments.max_memory);
  return {};
}

// Where the run goes on, if it does.
Result<std::optional<Checkpoint>> take_up(const CheckpointStore& store, const TuneArguments& arguments,
                                          const Limits& limits) {
  const std::vector<int64_t> steps = store.steps();
  if (!arguments.resume) {
    if (steps.empty()) return std::optional<Checkpoint>();
    return invalid_input(
        fmt::format("{}: holds checkpoints of an earlier run, up to update {}; go on with --resume, or name "
                    "another folder",
                    store.folder(), steps[0]));
  }
  std::vector<std::string> damaged;
  std::optional<Checkpoint> checkpoint = TRY(store.latest(damaged, limits));
  for (const std::string& text : damaged) fmt::print("passed over: {}\n", text);
  if (!checkpoint) fmt::print("{}: no checkpoint yet, starting anew\n", store.folder());
  return checkpoint;
}

constexpr const char* kPieces = "rows at a time";

// How a batch is cut into pieces decides the bits, and what memory allows is not always the same.
Status keep_pieces(TrainerOptions& trainer, const Checkpoint& checkpoint, const CheckpointStore& store) {
  const auto found = checkpoint.position.options.find(kPieces);
  int64_t before = 0;
  const bool given =
      found != checkpoint.position.options.end() && CLI::detail::lexical_cast(found->second, before);
  if (!given || before <= 0 || trainer.piece_rows == 0 || before == trainer.piece_rows) return {};
  if (before > trainer.piece_rows) {
    return invalid_input(fmt::format("{}: the run computed {} rows at a time, --max-memory now allows {}",
                                     store.folder(), before, trainer.piece_rows));
  }
  trainer.piece_rows = before;
  return {};
}

Status write_result(const Tuning& tuning, const TrainingOutcome& outcome, const TuneArguments& arguments,
                    const Limits& limits) {
  if (!outcome.weights.empty()) TRY(export_weights(tuning.model, outcome.weights, arguments.output, limits));
  if (outcome.end == TrainingEnd::kDiverged)
    return invalid_input(divergence_text(outcome, rate_of(arguments), arguments.output));
  if (outcome.end == TrainingEnd::kInterrupted) {
    return invalid_input(interruption_text(outcome, arguments.output, arguments.checkpoint));
  }
  fmt::print("wrote {}\n", arguments.output);
  return {};
}

Result<TrainingOutcome> run_training(Tuning& tuning, CheckpointStore* store, const TuneArguments& arguments,
                                     const Limits& limits) {
  std::optional<Checkpoint> checkpoint;
  if (store) checkpoint = TRY(take_up(*store, arguments, limits));
  if (checkpoint) TRY(keep_pieces(tuning.trainer, *checkpoint, *store));
  Trainer trainer(*tuning.engine, *tuning.batches.train, tuning.trainer);
  if (tuning.batches.held_out) trainer.hold_out(*tuning.batches.held_out, *tuning.metrics);
  if (store) {
    std::map<std::string, std::string> flags = deciding_flags(arguments, tuning.trainer.schedule.total_steps);
    flags["data"] = TRY(file_identity(arguments.train));
    if (!arguments.eval.empty()) flags["held-out data"] = TRY(file_identity(arguments.eval));
    flags[kPieces] = fmt::to_string(tuning.trainer.piece_rows);
    trainer.keep_checkpoints(*store, TRY(file_identity(arguments.model.path)), std::move(flags));
  }
  if (checkpoint) {
    const Status resumed = trainer.resume(*checkpoint);
    if (!resumed.ok()) return with_prefix(store->folder() + ": ", resumed.error());
    fmt::print("going on after update {}\n", checkpoint->position.step);
    checkpoint.reset();
  }
  Progress progress(stdout);
  trainer.add_observer(progress);
  std::unique_ptr<TrainingLog> log;
  if (!arguments.log.empty()) log = TRY(TrainingLog::open(arguments.log));
  if (log) trainer.add_observer(*log);
  TrainingOutcome outcome = TRY(trainer.run());
  TRY(progress.note(outcome_text(outcome, tuning.trainer)));
  if (!tuning.batches.held_out && outcome.end != TrainingEnd::kDiverged) {
    const std::vector<Measure> measures = TRY(trainer.evaluate(*tuning.batches.train, *tuning.metrics));
    TRY(progress.note(training_measures_text(measures)));
  }
  if (log) {
    TRY(log->finish(arguments.model.path, facts_of(tuning.summary, tuning.trainer, outcome)));
    TRY(progress.note("curves in " + log->curves_path()));
  }
  return outcome;
}

Status tune(const TuneArguments& arguments) {
  TRY(check_output_path(arguments.output));
  const Limits limits = TRY(limits_of(arguments.model));
  InterruptRequest interrupt;
  Tuning tuning = TRY(prepare(arguments, limits));
  print_summary(tuning.summary);
  TRY(set_up_trainer(tuning, arguments));
  fmt::print("{}\n", schedule_text(tuning.trainer, tuning.options.optimizer));
  std::optional<CheckpointStore> store;
  if (!arguments.checkpoint.empty()) store.emplace(TRY(CheckpointStore::open(arguments.checkpoint)));
  const TrainingOutcome outcome = TRY(run_training(tuning, store ? &*store : nullptr, arguments, limits));
  return write_result(tuning, outcome, arguments, limits);
}

}  // namespace

CLI::App* add_tune_command(CLI::App& app, std::function<int()>& run) {
  auto arguments = std::make_shared<TuneArguments>();
  CLI::App* command =
      add_command(app, "tune", "Train a model's weights and write the same file with the new ones.",
                  "gannet tune mlp.onnx --train samples.npz --eval-fraction 0.1 --epochs 20 -o tuned.onnx",
                  run, [arguments] { return tune(*arguments); });
  add_tune_arguments(*command, *arguments);
  return command;
}

}  // namespace gannet
