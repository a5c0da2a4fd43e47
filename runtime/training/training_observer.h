// What a training run tells about itself while it runs. Progress, logs and curves are observers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ir/base/error.h"

namespace gannet {

struct Measure {
  std::string name;  // "accuracy"
  double value = 0;
};

// Where the run begins, or goes on after a checkpoint.
struct RunStart {
  int64_t step = 0;  // steps done before
  int64_t total_steps = 0;
  int64_t epochs = 0;  // of the whole run, the last perhaps in part
  int64_t rows_per_epoch = 0;
};

// After an optimizer step.
struct StepReport {
  int64_t step = 0;   // steps done: 1 after the first
  int64_t epoch = 0;  // from 0
  double epochs_done = 0;
  int64_t rows = 0;  // of this step
  double loss = 0;   // mean over them
  double rate = 0;
  double seconds = 0;  // since the run began or went on, without evaluations
  std::vector<Measure> measures = {};  // what else the step found out about its batches
  bool has_loss = true;                // false: a run of several losses has them among the measures
};

struct EpochReport {
  int64_t step = 0;
  int64_t epoch = 0;
  double loss = 0;  // mean over the rows of the epoch
};

// After an evaluation on held-out data.
struct EvaluationReport {
  int64_t step = 0;
  int64_t epoch = 0;              // in which it happened
  std::vector<Measure> measures;  // "loss" first
  std::string chosen_by;          // the measure that decides what is best
  bool best = false;              // so far
};

class TrainingObserver {
 public:
  virtual ~TrainingObserver() = default;
  virtual Status begin(const RunStart&) { return {}; }
  virtual Status step(const StepReport&) { return {}; }
  virtual Status epoch(const EpochReport&) { return {}; }
  virtual Status evaluation(const EvaluationReport&) { return {}; }
  // One sentence for a person, such as why the run stops.
  virtual Status note(const std::string&) { return {}; }
  // Where the run stands, for a person: one line now and then.
  virtual Status summary(const std::string&) { return {}; }
};

}  // namespace gannet
