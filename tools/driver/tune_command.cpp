#include "tools/driver/tune_command.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <memory>
#include <numeric>

#include "runtime/training/batches.h"
#include "runtime/training/progress.h"
#include "runtime/training/trainer.h"
#include "runtime/training/training_log.h"
#include "tools/deploy/arguments.h"
#include "tools/driver/co_teaching.h"
#include "tools/driver/interrupt.h"
#include "tools/driver/rates_by_layer.h"
#include "tools/driver/tune_memory.h"
#include "tools/driver/tune_model.h"
#include "tools/driver/tune_report.h"
#include "tools/driver/tune_search.h"
#include "tools/driver/tune_task.h"
#include "tools/driver/weak_tuning.h"

namespace gannet {

namespace {

// Rows to train on, and those to measure on where there are any.
struct TuneBatches {
  std::unique_ptr<LabelledRows> rows, held_out_rows;
  std::unique_ptr<BatchSource> train, held_out;
  std::unique_ptr<BatchSource> labelled;                 // where `train` has other rows too
  std::vector<int64_t> train_numbers, held_out_numbers;  // in the rows that they are of
};

// `batch_statistics`: the step normalizes by the batch, for which one row is too few.
Status make_batches(TuneBatches& batches, const TuneArguments& arguments, bool batch_statistics) {
  const BatchRequest for_measures = {arguments.batch_size, arguments.seed, false};
  const BatchRequest for_training = {arguments.batch_size, arguments.seed, batch_statistics};
  if (batches.held_out_rows) {
    batches.held_out = TRY(batches.held_out_rows->batches(std::nullopt, for_measures));
    batches.held_out_numbers.resize(static_cast<size_t>(batches.held_out_rows->rows()));
    std::iota(batches.held_out_numbers.begin(), batches.held_out_numbers.end(), 0);
  }
  if (batches.held_out_rows || !arguments.eval_fraction || *arguments.eval_fraction == 0) {
    batches.train_numbers.resize(static_cast<size_t>(batches.rows->rows()));
    std::iota(batches.train_numbers.begin(), batches.train_numbers.end(), 0);
    batches.train = TRY(batches.rows->batches(std::nullopt, for_training));
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

// Everything that a run needs, from the flags.
struct Tuning {
  TuneModel model;
  TrainStepOptions options;
  TuneSummary summary;
  std::unique_ptr<Metrics> metrics;
  TuneBatches batches;
  std::unique_ptr<TrainingEngine> engine;  // with --max-memory made by set_up_memory
  bool normalizes_by_batch = false;
  int64_t share = 0;  // MemoryChoice::share
  TrainerOptions trainer;
  RampUp ramp;     // of rows without labels
  Metadata found;  // after the training
  Status afterwards;  // of reports and logs: the weights are written whatever became of them
};

// Puts the rows of --unlabeled beside the labelled ones.
Status add_unlabelled(Tuning& tuning, TuneTask& task, const TrainStep& step, const TuneArguments& arguments) {
  TuneBatches& batches = tuning.batches;
  const size_t inputs = step.graph->inputs().size();
  const DType weight_dtype = step.graph->inputs()[inputs - 3]->type.dtype;
  WeakTuning weak =
      TRY(make_weak_tuning(task, *batches.rows, batches.train_numbers, weight_dtype, arguments));
  batches.labelled = std::move(batches.train);
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

// The options that are known before the model and the data are.
Status set_options(TrainStepOptions& options, const TuneArguments& arguments) {
  options.optimizer = TRY(optimizer_of(arguments));
  options.dropout = TRY(dropout_of(arguments));
  options.output_name = arguments.trained_output;
  options.accumulate = arguments.accumulate > 1;
  if (arguments.weak.used()) options.weak = weak_loss_of(arguments.weak);
  options.batch_norm_momentum = arguments.batch_norm_momentum;
  return {};
}

Result<Tuning> prepare(TuneTask& task, TuneArguments& arguments) {
  Tuning tuning;
  ImportedModel original = TRY(load_model(arguments.model));
  TRY(task.settle(original, arguments));
  TRY(set_options(tuning.options, arguments));
  tuning.model = TRY(make_tune_model(std::move(original), task.metadata(), arguments));
  if (const size_t count = tuning.model.changed_normalizations.size(); count > 0) {
    fmt::print("{}: {} batch normalizations are in training mode; the tuned file has them in the form for inference\n",
               printable(arguments.model.path), count);
  }
  const std::optional<HeadReport>& head = tuning.model.head;
  const double head_dropout = arguments.head_dropout.value_or(task.head_dropout());
  const bool takes_dropout = head && !head->features.empty();
  if (arguments.head_dropout && !takes_dropout)
    return invalid_input("--head-dropout: the model gets no new head");
  if (takes_dropout && head_dropout > 0) tuning.options.dropout.push_back({head->features, head_dropout});
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

Status check_measure(const Metrics& metrics, const std::string& name) {
  std::string all = "loss";
  bool found = name == all || (name.starts_with("top") && name.ends_with("_accuracy"));  // known once the classes are
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
  options.choose_by = arguments.best_by.empty() ? best_measure(tuning.options.loss) : arguments.best_by;
  options.stop = &InterruptRequest::requested();
  const bool held_out = tuning.batches.held_out != nullptr;
  if (arguments.patience > 0 && !held_out) return invalid_input("--patience needs --eval or --eval-fraction");
  if (arguments.evaluate_every > 0 && !held_out)
    return invalid_input("--eval-every needs --eval or --eval-fraction");
  if (!arguments.pictures.report.empty() && !held_out)
    return invalid_input("--report needs --eval or --eval-fraction");
  TRY(check_measure(*tuning.metrics, options.choose_by));
  return {};
}

// The graphs of the training for batches of so many rows.
Result<std::unique_ptr<TrainingEngine>> engine_for(const Tuning& tuning, const TuneArguments& arguments,
                                                   const BatchColumns& batch, bool accumulate, int64_t rows,
                                                   MemoryAim* aim) {
  TrainStepOptions options = tuning.options;
  options.accumulate = accumulate;
  TrainStep step = TRY(build_train_step(tuning.model.graph(), options));
  if (aim) {
    const size_t seed = options.dropout.empty() ? batch.size() : tuning.model.graph().inputs().size();
    for (size_t i = 0; i < batch.size(); ++i) {
      const Type& type = step.graph->inputs()[i < seed ? i : i + 1]->type;
      for (size_t d = 0; type.shape && d < type.shape->size(); ++d) {
        const std::optional<std::string> symbol = (*type.shape)[d].symbol_name();
        if (symbol) aim->extents[*symbol] = d == 0 ? rows : batch[i].extent(static_cast<int64_t>(d));
      }
    }
  }
  return std::make_unique<TrainingEngine>(
      TRY(make_engine(tuning.model, std::move(step), options, arguments, aim)));
}

constexpr const char* kPieces = "rows at a time";
constexpr const char* kShare = "share of activations that is kept, in thousandths";

// What decided the bits of the run that `checkpoint` continues.
MemoryChoice choice_of(const Checkpoint& checkpoint) {
  MemoryChoice choice;
  for (const auto& [name, value] : {std::pair(kPieces, &choice.piece_rows), {kShare, &choice.share}}) {
    const auto found = checkpoint.position.options.find(name);
    if (found != checkpoint.position.options.end()) CLI::detail::lexical_cast(found->second, *value);
  }
  return choice;
}

std::string memory_text(const MemoryPlan& plan, const std::string& limit) {
  std::string text = "memory: ";
  text += plan.choice.piece_rows > 0 ? fmt::format("{} rows at a time, ", plan.choice.piece_rows) : "whole batches, ";
  if (plan.choice.share > 0) text += fmt::format("{:.0f} % of the work twice, ", 100 * plan.extra_work);
  return text + fmt::format("about {} of {}", bytes_text(plan.expected_bytes), limit);
}

// A batch with the largest extents that batches have. Only texts differ beyond their rows, and then all are looked at.
Result<BatchColumns> widest_batch(BatchSource& batches) {
  batches.start_in_order();
  BatchColumns widest = TRY(batches.read(0));
  bool differ = false;
  auto widen = [&](const BatchColumns& other) {
    for (size_t i = 0; i < widest.size(); ++i) {
      std::vector<int64_t> extents = widest[i].extents();
      for (size_t d = 0; d < extents.size(); ++d) {
        const int64_t extent = other[i].extent(static_cast<int64_t>(d));
        differ |= d > 0 && extent != extents[d];
        extents[d] = std::max(extents[d], extent);
      }
      if (extents != widest[i].extents()) widest[i] = Tensor::zeros(widest[i].dtype(), std::move(extents));
    }
  };
  const int64_t count = batches.per_epoch();
  for (const int64_t i : {count / 2, count - 1}) widen(TRY(batches.read(i)));
  for (int64_t i = 1; differ && i < count - 1; ++i) widen(TRY(batches.read(i)));
  return widest;
}

// Chooses how a batch is computed so that --max-memory is kept, as before where a run is resumed.
Status set_up_memory(Tuning& tuning, const TuneArguments& arguments, const Checkpoint* checkpoint) {
  if (arguments.backend == "reference") return invalid_input("--max-memory needs --backend compiled: the reference has no plan");
  MemoryTask task;
  task.limit = TRY(parse_bytes(arguments.max_memory, "--max-memory"));
  task.batch = TRY(widest_batch(*tuning.batches.train));
  task.rows = task.batch.at(0).extent(0);
  if (tuning.batches.held_out) {
    // Only the graph's inputs: what a target is made of may differ.
    const BatchColumns held_out = TRY(widest_batch(*tuning.batches.held_out));
    for (size_t i = 0; i + 1 < task.batch.size(); ++i) {
      std::vector<int64_t> extents = task.batch[i].extents();
      for (size_t d = 1; d < extents.size(); ++d)
        extents[d] = std::max(extents[d], held_out[i].extent(static_cast<int64_t>(d)));
      if (extents != task.batch[i].extents()) task.batch[i] = Tensor::zeros(task.batch[i].dtype(), std::move(extents));
    }
  }
  task.accumulate = arguments.accumulate;
  task.batch_statistics = tuning.normalizes_by_batch;
  for (const State& state : tuning.model.graph().states) task.weight_bytes += state.initial.bytes();
  // Weights that were not mapped as they are in the file are there already; they become those of the State.
  task.held_bytes = (tuning.batches.held_out ? task.weight_bytes : 0) - tuning.model.copied_bytes();
  if (checkpoint) {
    for (const auto& [name, tensor] : checkpoint->states) task.held_bytes -= tensor.bytes();
  }
  task.make_engine = [&](bool accumulate, int64_t rows, MemoryAim* aim) {
    return engine_for(tuning, arguments, task.batch, accumulate, rows, aim);
  };
  release_pages(*tuning.model.imported.source);
  MemoryPlan plan = TRY(plan_memory(
      task, checkpoint ? std::optional(choice_of(*checkpoint)) : std::nullopt));
  fmt::print("{}\n", memory_text(plan, arguments.max_memory));
  tuning.engine = std::move(plan.engine);
  tuning.trainer.piece_rows = plan.choice.piece_rows;
  tuning.share = plan.choice.share;
  tuning.model.forget_weights();
  if (checkpoint) return {};
  // Weights are read from the file once, here; its pages are not needed beside them.
  TRY(tuning.engine->own_states());
  release_pages(*tuning.model.imported.source);
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

Status write_result(const Tuning& tuning, const TrainingOutcome& outcome, const TuneArguments& arguments,
                    const Limits& limits) {
  if (!outcome.weights.empty()) {
    TRY(export_weights(tuning.model, outcome.weights, arguments.output, limits));
    if (!tuning.found.empty()) TRY(add_metadata(arguments.output, tuning.found, limits));
  }
  if (outcome.end == TrainingEnd::kDiverged)
    return invalid_input(divergence_text(outcome, rate_of(arguments), arguments.output));
  if (outcome.end == TrainingEnd::kInterrupted) {
    return invalid_input(interruption_text(outcome, arguments.output, arguments.checkpoint));
  }
  fmt::print("wrote {}\n", arguments.output);
  return tuning.afterwards;
}

// Lets the task see what the chosen weights give for the held-out rows. Gives what is to be added to the metadata.
Result<Metadata> examine(Tuning& tuning, TuneTask& task, Trainer& trainer, const TrainingOutcome& outcome,
                         const TuneArguments& arguments) {
  TuneBatches& batches = tuning.batches;
  if (!batches.held_out || outcome.weights.empty() || !task.examines(arguments)) return Metadata();
  const LabelledRows& rows = batches.held_out_rows ? *batches.held_out_rows : *batches.rows;
  return task.examine({rows, batches.held_out_numbers, TRY(trainer.predict(*batches.held_out, outcome.weights))}, arguments);
}

Status report(Tuning& tuning, TuneTask& task, Trainer& trainer, Progress& progress, TrainingLog* log,
              const TrainingOutcome& outcome, const TuneArguments& arguments) {
  TRY(progress.note(outcome_text(outcome, tuning.trainer)));
  if (!tuning.batches.held_out && outcome.end != TrainingEnd::kDiverged) {
    BatchSource& rows = tuning.batches.labelled ? *tuning.batches.labelled : *tuning.batches.train;
    const std::vector<Measure> measures = TRY(trainer.evaluate(rows, *tuning.metrics));
    TRY(progress.note(training_measures_text(measures)));
  }
  tuning.found = TRY(examine(tuning, task, trainer, outcome, arguments));
  if (!log) return {};
  TRY(log->finish(arguments.model.path, facts_of(tuning.summary, tuning.trainer, outcome)));
  return progress.note("curves in " + log->curves_path());
}

Result<TrainingOutcome> run_training(Tuning& tuning, TuneTask& task, CheckpointStore* store,
                                     std::optional<Checkpoint> checkpoint, const TuneArguments& arguments) {
  Trainer trainer(*tuning.engine, *tuning.batches.train, tuning.trainer);
  if (tuning.batches.held_out) trainer.hold_out(*tuning.batches.held_out, *tuning.metrics);
  if (store) {
    std::map<std::string, std::string> flags = deciding_flags(arguments, tuning.trainer.schedule.total_steps);
    flags.merge(TRY(task.identity(arguments)));
    flags.merge(deciding_weak_flags(arguments.weak, tuning.ramp));
    flags[kPieces] = fmt::to_string(tuning.trainer.piece_rows);
    flags[kShare] = fmt::to_string(tuning.share);
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
  tuning.afterwards = report(tuning, task, trainer, progress, log.get(), outcome, arguments);
  return outcome;
}

struct FinishedRun {
  Tuning tuning;
  TrainingOutcome outcome;
};

Result<FinishedRun> run_once(TuneArguments& arguments, const Limits& limits) {
  const std::unique_ptr<TuneTask> task = TRY(make_tune_task(arguments));
  TRY(check_flags(arguments, task->rows_are()));
  FinishedRun run;
  run.tuning = TRY(prepare(*task, arguments));
  print_summary(run.tuning.summary);
  TRY(set_up_trainer(run.tuning, arguments));
  std::optional<CheckpointStore> store;
  std::optional<Checkpoint> checkpoint;
  if (!arguments.checkpoint.empty()) {
    store.emplace(TRY(CheckpointStore::open(arguments.checkpoint)));
    checkpoint = TRY(take_up(*store, arguments, limits));
  }
  if (!arguments.max_memory.empty())
    TRY(set_up_memory(run.tuning, arguments, checkpoint ? &*checkpoint : nullptr));
  fmt::print("{}\n", schedule_text(run.tuning.trainer, run.tuning.options.optimizer));
  run.outcome =
      TRY(run_training(run.tuning, *task, store ? &*store : nullptr, std::move(checkpoint), arguments));
  run.tuning.engine.reset();
  run.tuning.batches = {};
  return run;
}

// One run after the other; the one whose best measure is best is written, also where a later one is interrupted or fails.
Status search(const TuneArguments& arguments, const Limits& limits) {
  TRY(check_search(arguments));
  const std::vector<SearchPoint> points = TRY(search_points(arguments.search));
  std::vector<std::optional<double>> measures;
  std::optional<FinishedRun> best;
  size_t best_at = 0;
  std::string measure;
  Status ended;
  bool interrupted = false;
  for (const SearchPoint& point : points) {
    TuneArguments own = arguments;
    TRY(apply_point(point, own));
    fmt::print("{}run {} of {}: {}\n", measures.empty() ? "" : "\n", measures.size() + 1, points.size(),
               text_of(point));
    Result<FinishedRun> run = run_once(own, limits);
    if (!run.ok()) {
      ended = with_prefix(fmt::format("run {}: ", measures.size() + 1), run.error());
      break;
    }
    interrupted = run->outcome.end == TrainingEnd::kInterrupted;
    if (interrupted && !best) return write_result(run->tuning, run->outcome, own, limits);
    measure = run->tuning.trainer.choose_by;
    measures.push_back(run->outcome.best);
    const double sign = higher_is_better(measure) ? 1 : -1;
    const bool better = run->outcome.best && (!best || sign * *run->outcome.best > sign * *best->outcome.best);
    if (better) {
      best_at = measures.size() - 1;
      best.emplace(*std::move(run));
    }
    if (interrupted) break;
  }
  if (!best && !ended.ok()) return ended;
  if (!best) return invalid_input("every run of --search diverged: try smaller rates or --clip-norm 1");
  fmt::print("\n{}", search_table(points, measures, measure, best_at));
  best->outcome.end = interrupted ? TrainingEnd::kInterrupted : TrainingEnd::kComplete;
  TRY(write_result(best->tuning, best->outcome, arguments, limits));
  return ended;
}

Status tune(TuneArguments arguments) {
  // Memory that is given back leaves the process at once, whatever was given back before.
  constexpr int kMappedFrom = 1 << 20;
  if (!arguments.max_memory.empty()) ::mallopt(M_MMAP_THRESHOLD, kMappedFrom);
  TRY(check_output_path(arguments.output));
  if (!arguments.pictures.report.empty()) TRY(check_output_path(arguments.pictures.report));
  const Limits limits = TRY(limits_of(arguments.model));
  InterruptRequest interrupt;
  if (!arguments.search.empty()) return search(arguments, limits);
  const FinishedRun run = TRY(run_once(arguments, limits));
  return write_result(run.tuning, run.outcome, arguments, limits);
}

}  // namespace

CLI::App* add_tune_command(CLI::App& app, std::function<int()>& run) {
  auto arguments = std::make_shared<TuneArguments>();
  CLI::App* command =
      add_command(app, "tune", "Train a model's weights and write the same file with the new ones.",
                  "gannet tune mlp.onnx --train samples.npz --eval-fraction 0.1 --epochs 20 -o tuned.onnx",
                  run, [&app, arguments] {
                    collect_given(*app.get_subcommand("tune"), arguments->given);
                    return tune(*arguments);
                  });
  add_tune_arguments(*command, *arguments);
  return command;
}

}  // namespace gannet
