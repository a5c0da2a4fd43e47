// What `gannet bench --train` runs: one training step of a model, forward, backward and optimizer.
#pragma once

#include <memory>
#include <vector>

#include "ir/base/error.h"
#include "ir/graph.h"
#include "passes/optimizer.h"
#include "tools/deploy/model_inputs.h"

namespace gannet {

struct BenchStep {
  std::unique_ptr<Graph> graph;
  std::vector<InputSpec> inputs;  // labels stay below the number of classes
};

// The step of `model` with cross entropy on its first output. `model` is changed.
Result<BenchStep> bench_training_step(Graph& model, const OptimizerOptions& optimizer);

}  // namespace gannet
