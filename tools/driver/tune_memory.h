// Keeping a training below a given amount of memory.
#pragma once

#include "runtime/training/batch_source.h"
#include "runtime/training/training_engine.h"

namespace gannet {

struct MemoryPlan {
  int64_t piece_rows = 0;      // rows of a batch that are computed at once
  int64_t expected_bytes = 0;  // most memory that the process takes
};

// Most memory that this process has taken so far, and takes now.
int64_t peak_memory();

// Finds how many rows of a batch can be computed at once below `limit` bytes. Runs updates and evaluations on
// one and two rows of `batches` to see what the session's plan makes of them, and puts every State back.
// `extra_bytes`: what the run will hold beside the engine (the best weights). An error says how much the
// least would be.
Result<MemoryPlan> plan_memory(TrainingEngine& engine, BatchSource& batches, int64_t limit,
                               int64_t extra_bytes);

}  // namespace gannet
