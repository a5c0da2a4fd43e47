// What `gannet bench --train` runs: one training step of a model, forward, backward and optimizer.
#pragma once

#include <memory>
#include <vector>

#include "ir/base/error.h"
#include "ir/graph.h"
#include "passes/insert_dropout.h"
#include "passes/optimizer.h"
#include "tools/deploy/model_inputs.h"

namespace gannet {

struct BenchStep {
  std::unique_ptr<Graph> graph;
  std::vector<InputSpec> inputs;  // labels stay below the number of classes
};

// The step of `model` with cross entropy on its first output; batch normalizations keep their statistics, or take those of
// the batch; elements drop by `dropout`. `model` is changed.
Result<BenchStep> bench_training_step(Graph& model, const OptimizerOptions& optimizer, bool batch_statistics = false,
                                      std::vector<DropoutRule> dropout = {});

}  // namespace gannet
