#include "tools/driver/tune_command.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <memory>

#include "runtime/training/progress.h"
#include "runtime/training/trainer.h"
#include "runtime/training/training_log.h"
#include "tools/deploy/arguments.h"
#include "tools/deploy/interrupt.h"
#include "tools/deploy/output_path.h"
#include "tools/deploy/training_report.h"
#include "tools/driver/tune_model.h"
#include "tools/driver/tune_options.h"
#include "tools/driver/tune_report.h"
#include "tools/driver/tune_search.h"
#include "tools/driver/tune_task.h"
#include "tools/driver/tuning.h"
#include "tools/driver/tuning_memory.h"

namespace gannet {

namespace {

Status set_up_trainer(Tuning& tuning, const TuneArguments& arguments) {
  TrainerOptions& options = tuning.trainer;
  const int64_t batches = tuning.batches.train->per_epoch();
  const int64_t per_epoch = (batches + arguments.accumulate - 1) / arguments.accumulate;
  const int64_t total = arguments.steps > 0 ? arguments.steps : arguments.epochs * per_epoch;
  options.schedule = TRY(schedule_of(arguments.learning, rate_of(arguments), total));
  options.seed = arguments.seed;
  options.accumulate = arguments.accumulate;
  options.evaluate_every = arguments.evaluate_every;
  options.checkpoint_every = arguments.checkpoint_every;
  options.patience = arguments.patience;
  options.choose_by = arguments.best_by.empty() ? best_measure(tuning.target) : arguments.best_by;
  options.stop = &InterruptRequest::requested();
  const bool held_out = tuning.batches.held_out != nullptr;
  if (arguments.patience > 0 && !held_out) return invalid_input("--patience needs --eval or --eval-fraction");
  if (arguments.evaluate_every > 0 && !held_out)
    return invalid_input("--eval-every needs --eval or --eval-fraction");
  if (!arguments.pictures.report.empty() && !held_out)
    return invalid_input("--report needs --eval or --eval-fraction");
  TRY(check_measure(*tuning.metrics, options.choose_by, tuning.target));
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
  Tensor predictions = TRY(trainer.predict(*batches.held_out, outcome.weights));
  return task.examine({rows, batches.held_out_numbers, std::move(predictions)}, arguments);
}

Status report(Tuning& tuning, TuneTask& task, Trainer& trainer, Progress& progress, TrainingLog* log,
              const TrainingOutcome& outcome, const TuneArguments& arguments) {
  TRY(progress.note(outcome_text(outcome, tuning.trainer)));
  const bool whole = outcome.end == TrainingEnd::kComplete || outcome.end == TrainingEnd::kNoProgress;
  if (!tuning.batches.held_out && whole) {
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
    flags.merge(deciding_memory_flags(tuning));
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
  run.tuning = TRY(prepare_tuning(*task, arguments));
  print_summary(run.tuning.summary);
  TRY(set_up_trainer(run.tuning, arguments));
  TRY(check_not_interrupted());
  std::optional<CheckpointStore> store;
  std::optional<Checkpoint> checkpoint;
  if (!arguments.checkpoint.empty()) {
    store.emplace(TRY(CheckpointStore::open(arguments.checkpoint)));
    checkpoint = TRY(take_up(*store, arguments, limits));
  }
  if (!arguments.max_memory.empty())
    TRY(set_up_memory(run.tuning, arguments, checkpoint ? &*checkpoint : nullptr));
  fmt::print("{}\n", schedule_text(run.tuning.trainer, std::string(name_of(run.tuning.options.optimizer.kind))));
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
      interrupted = InterruptRequest::requested();
      if (interrupted && best) break;
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
  // The model itself may be replaced by the tuned one.
  TRY(check_outputs({arguments.output},
                    {arguments.train, arguments.eval, arguments.text.vocabulary, arguments.text.tokenizer, arguments.weak.unlabelled},
                    {arguments.pictures.report}));
  TRY(check_not_over(arguments.pictures.report, arguments.model.path));
  const Limits limits = TRY(limits_of(arguments.model));
  arguments.weak.synthetic = arguments.synthetic.unlabelled();
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
