// Keeping a training below a given amount of memory: a batch is computed whole, with values computed twice in place of being
// kept, or in pieces whose gradients are added up, or both.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "passes/pass.h"
#include "runtime/training/batch_source.h"
#include "runtime/training/training_engine.h"

namespace gannet {

// What decides the bits of a run beside its flags.
struct MemoryChoice {
  int64_t piece_rows = 0;  // rows of a batch that are computed at once; 0: all
  int64_t share = 0;       // MemoryAim::share of the step; 0: nothing is computed twice
};

struct MemoryPlan {
  MemoryChoice choice;
  int64_t expected_bytes = 0;  // most memory that the process takes
  double extra_work = 0;       // of what is computed twice, over that of a step
  std::unique_ptr<TrainingEngine> engine;
};

struct MemoryTask {
  // The graphs of the training for batches of so many rows: with accumulation, and with what `aim` asks for where it is given
  // (of which the extents are filled in).
  std::function<Result<std::unique_ptr<TrainingEngine>>(bool accumulate, int64_t rows, MemoryAim* aim)> make_engine;
  BatchColumns batch;         // as training reads them
  int64_t rows = 0;           // most rows in a batch
  int64_t accumulate = 1;     // batches in an update
  bool batch_statistics = false;  // pieces normalize by themselves, for which one row is too few
  int64_t weight_bytes = 0;
  int64_t held_bytes = 0;  // what will be held beside the engine (the best weights)
  int64_t limit = 0;
};

// The choice with which an update takes the least time, by estimate, below the limit. Nothing is run where the memory of a step
// follows from its extents. With `wanted`, the choice of the run that is resumed, no other is looked at. An error says the least
// that is feasible, or that the one wanted is not.
Result<MemoryPlan> plan_memory(const MemoryTask& task, const std::optional<MemoryChoice>& wanted = std::nullopt);

}  // namespace gannet
