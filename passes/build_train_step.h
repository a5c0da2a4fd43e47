// Training as a graph: model + loss + optimizer become one step. Weights are State, updated by the step itself.
#pragma once

#include <memory>
#include <string>

#include "ir/base/error.h"
#include "ir/graph.h"

namespace gannet {

enum class Loss {
  kCrossEntropy,  // logits [batch, classes, ...] against i64 class numbers [batch, ...]; mean over all labels
  kMse,           // mean of squared differences to targets of the output's shape
};

struct TrainStep {
  std::unique_ptr<Graph> graph;
  // Inputs of `graph`: those of the model, then "target", then "learning_rate" (f32 scalar). Outputs: "loss".
  std::string trained_output;  // which model output the loss reads
  std::string skipped_ending;  // "Softmax" where the loss reads the logits before it, else empty
};

// Builds the step from a model whose weights are State already (weights_to_state.h); `model` is not changed. The loss
// reads the model's output `output_name` (empty: its only or first float one). With kCrossEntropy an output that ends
// in Softmax is trained on the logits before it. The optimizer is plain SGD: weight - learning_rate * gradient. An
// error names what does not fit, or the node without gradient.
Result<TrainStep> build_train_step(const Graph& model, Loss loss, const std::string& output_name = "");

}  // namespace gannet
