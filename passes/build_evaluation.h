// What a training step measures, without the step: loss and prediction of a batch with the weights as they
// are.
#pragma once

#include <memory>

#include "passes/build_train_step.h"

namespace gannet {

// `model` and `options` as for build_train_step, `step` what that gave. Inputs of the graph: those of the
// step but the last one (the learning rate). Outputs "loss" and "prediction". States: those of the model,
// none of which changes; batch normalizations use their running statistics.
Result<std::unique_ptr<Graph>> build_evaluation(const Graph& model, const TrainStepOptions& options,
                                                const TrainStep& step);

}  // namespace gannet
