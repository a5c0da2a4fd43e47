// A graph with State as something that runs again and again, on the backend that the flags ask for.
#pragma once

#include <memory>
#include <string_view>

#include "backend/backend.h"
#include "passes/pass.h"
#include "runtime/training/graph_runner.h"

namespace gannet {

struct RunnerOptions {
  bool reference = false;  // the reference evaluator in place of compiled code
  CompileOptions compile = {};
  int threads = 0;
  uint64_t seed = 0;
  Limits limits = {};
};

// Runs the passes of `pipeline` and compiles. What States begin with is in the runner alone from then on. `memory` is
// PassContext::memory.
Result<std::unique_ptr<GraphRunner>> make_training_runner(std::unique_ptr<Graph> graph, std::string_view pipeline,
                                                          const RunnerOptions& options, MemoryAim* memory = nullptr);

}  // namespace gannet
