// A run of `gannet tune` from its flags: the model, its data and the step that trains it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "passes/build_train_step.h"
#include "runtime/training/batch_source.h"
#include "runtime/training/metrics.h"
#include "runtime/training/trainer.h"
#include "runtime/training/training_engine.h"
#include "tools/driver/tune_arguments.h"
#include "tools/driver/tune_model.h"
#include "tools/driver/tune_report.h"
#include "tools/driver/tune_task.h"

namespace gannet {

// Everything that a run needs, from the flags.
struct Tuning {
  TuneModel model;
  TrainStepOptions options;
  TuneSummary summary;
  TargetForm target;
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

// Reads the model and the data and builds the step. A task may change defaults in `arguments`.
Result<Tuning> prepare_tuning(TuneTask& task, TuneArguments& arguments);

}  // namespace gannet
