// Training as a graph: model + loss + optimizer become one step. Whatever must survive from step to step is
// State, and a State is known by its name: graphs that have one of the same name share it, and a checkpoint
// is those names with their tensors.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ir/base/error.h"
#include "ir/graph.h"
#include "passes/co_teaching.h"
#include "passes/insert_dropout.h"
#include "passes/optimizer.h"
#include "passes/training_loss.h"
#include "passes/weak_loss.h"

namespace gannet {

struct TrainStepOptions {
  LossOptions loss = {};
  // Most rows of a batch have no label. kMeanTeacher needs optimizer.ema_decay.
  std::optional<WeakLossOptions> weak = {};
  OptimizerOptions optimizer = {};
  // The model output that the loss reads; empty: its first float one that depends on a weight.
  std::string output_name = {};
  std::vector<DropoutRule> dropout = {};  // the first that matches counts
  // Gradients of several batches are added up before one update: `graph` adds, `apply` updates.
  bool accumulate = false;
  // Output "prediction": what the model's output is for this batch, its ending included.
  bool prediction = false;
  bool gradient_norm = false;  // output "gradient_norm": f64 scalar, after clip_value and before clip_norm
  // Of running statistics that are State: running = momentum * running + (1 - momentum) * batch, the variance
  // of the batch with n - 1 in the divisor, as in PyTorch (whose momentum is one less this one).
  double batch_norm_momentum = 0.9;
  std::optional<CoTeachingOptions> co_teaching = {};
};

struct TrainStep {
  // Inputs, in this order: those of the model; with dropout "seed", an i64 scalar from which all of it
  // follows, so give each batch another; for a teacher those of the model once more; with `weak`
  // "hidden_label" and "unlabeled_weight" (weak_loss.h); "target"; with LossOptions::sample_weights
  // "sample_weight" (training_loss.h); last "learning_rate", or with accumulation "gradient_scale", the share
  // of this batch in the update: 1/N for N equal ones. The last is an f32 scalar, f64 where a weight is f64.
  // A model that has an input of one of these names keeps it, ours is called otherwise then: go by the order.
  // Outputs, by name: "loss"; where asked "prediction" and, without accumulation, "gradient_norm"; with
  // `weak` the measures of weak_loss.h. States: first those of the model, in its order; with co-teaching
  // those of the second model (twin_model.h); then the optimizer's (optimizer.h), or with accumulation
  // "gradient/W" for each weight W with a gradient, zeros to begin with; then what a teacher has of its own
  // (averaged_instance.h).
  std::unique_ptr<Graph> graph;
  // With accumulation, else null. Its one input is "learning_rate", its one output "gradient_norm". States:
  // the weights that have a gradient, their "gradient/W" (zeros afterwards), the optimizer's.
  std::unique_ptr<Graph> apply;
  std::string trained_output;  // which model output the loss reads
  std::string skipped_ending;  // "Softmax", "LogSoftmax" or "Sigmoid" where the loss reads what comes before
                               // it, else empty
  std::vector<std::string> weights;  // names of States that an update changes, without those whose rate is 0
  std::vector<std::string> running_statistics;  // names of States that batch normalizations update
};

// Builds the step from a model whose weights are State already (weights_to_state.h); `model` is not changed,
// and stays what evaluation runs, with the same States by name. Batch normalizations whose statistics are
// State normalize by the batch and update them; others stay as they are in inference. With a loss that has
// classes an output that ends in Softmax or LogSoftmax over its classes, with kBinaryCrossEntropy one that ends
// in Sigmoid, is trained on what comes before; a Cast to a narrower float at the end is passed as well. All
// is computed in the model's own types: an f64 model in f64. An error names what does not fit, or the node
// without gradient.
Result<TrainStep> build_train_step(const Graph& model, const TrainStepOptions& options);

// The same with plain SGD and the loss's defaults.
Result<TrainStep> build_train_step(const Graph& model, Loss loss, const std::string& output_name = "");

}  // namespace gannet
