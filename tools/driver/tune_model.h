// From the user's model to what a trainer drives.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "frontend/head.h"
#include "frontend/import.h"
#include "passes/low_rank.h"
#include "passes/pass.h"
#include "passes/weights_to_state.h"
#include "runtime/training/training_engine.h"
#include "tools/deploy/label_metadata.h"
#include "tools/driver/tune_arguments.h"

namespace gannet {

// A model whose weights are State, ready for build_train_step.
struct TuneModel {
  ImportedModel imported;
  WeightReport weights;
  std::optional<HeadReport> head = {};       // of a new one
  bool widened = false;                      // 16-bit floats train as f32
  std::vector<LowRankWeight> low_rank = {};  // weights that others stand for (--lora)
  std::vector<std::string> changed_normalizations = {};  // nodes that the file had in training mode

  const Graph& graph() const { return *imported.graph; }
  int64_t parameters() const;  // elements of all trained weights
  // Bytes of the weights in memory of their own, not in that of the mapped file.
  int64_t copied_bytes() const;
  // Gives up what the weights begin with, so that the engines made from the model hold it alone; no others can be made.
  void forget_weights();
};

// Makes `model` ready: with the head that the flags ask for, with these metadata, and where its batch is
// fixed in the file, with a symbolic one. A pattern of --freeze, --no-decay or --lr-for that matches no
// weight is an error.
Result<TuneModel> make_tune_model(ImportedModel model, const Metadata& metadata,
                                  const TuneArguments& arguments);

// The graphs of a training, on the backend that the flags ask for. `step` is used up. With `memory` the step recomputes what
// that asks for (and it says what came of it).
Result<TrainingEngine> make_engine(const TuneModel& model, TrainStep step, const TrainStepOptions& options,
                                   const TuneArguments& arguments, MemoryAim* memory = nullptr);

// Writes the user's file with these weights.
Status export_weights(const TuneModel& model, const NamedTensors& weights, const std::string& path,
                      const Limits& limits);

// Adds metadata to the model at `path`, in place of ones of the same keys.
Status add_metadata(const std::string& path, const Metadata& entries, const Limits& limits);

}  // namespace gannet
