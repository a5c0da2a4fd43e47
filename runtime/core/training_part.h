// What a compiled file holds beside a model's program where it can be fine-tuned (`gannet compile --train`): an update
// and an evaluation as programs with the weights as States, and, as plain data, what whoever runs them must know.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ir/base/error.h"
#include "runtime/core/program.h"

namespace gannet {

class ArchiveReader;
class ArchiveWriter;

enum class TargetKind : uint8_t {
  kClasses,  // class numbers, i64
  kShares,   // a probability of each class
  kLabels,   // 0 or 1 for each of several labels
  kNumbers,  // whatever the output is
};
constexpr TargetKind last_of(TargetKind) { return TargetKind::kNumbers; }

// What a training step takes as its target, and how predictions are measured by it.
struct TargetForm {
  TargetKind kind = TargetKind::kClasses;
  Type type;           // of the target
  std::string output;  // of the model: the one that is trained
  std::optional<int64_t> classes = {};       // where the shape of the output says so
  int64_t class_axis = 1;                    // of the output
  std::optional<int64_t> ignore_index = {};  // of class numbers
  double threshold = 0;                      // kLabels: what is predicted above it is 1
  int64_t top = 5;                           // the K of top-K accuracy
};

// How a training runs where nobody says otherwise.
struct TrainingDefaults {
  int64_t epochs = 10, batch_size = 32;
  int64_t accumulate = 1;  // batches in an update
  double rate = 0;
  std::string schedule = "constant";  // of schedule_names() in runtime/training/schedule.h
  std::string warmup = "0";           // updates, or a share "5%"
  double final_share = 0;
  int64_t step_every = 0;
  double step_factor = 0.1;
};

struct TrainingPlan {
  TargetForm target;
  std::string loss;       // for people: "cross entropy of 'logits'"
  std::string optimizer;  // the same: "AdamW"
  bool batch_statistics = false;  // the step normalizes by the batch, for which one row is too few
  std::vector<std::string> class_names;  // by class number, where the model says so
  double pixel_scale = 0;                // of a model that normalizes pixels itself, 1 or 1/255; else 0
  bool takes_seed = false;        // behind the model's inputs the step takes an i64 scalar for its random ops
  TrainingDefaults defaults;
};

struct TrainingPart {
  TrainingPlan plan;
  // Inputs: those of the model, the seed where it takes one, the target, and a float scalar: the learning rate, or with
  // `apply` the share of the batch in the update. Output "loss".
  std::shared_ptr<const Program> step;
  std::shared_ptr<const Program> apply;  // from summed gradients to new weights, of the learning rate; null: the step does that
  // Inputs: those of the model and the target. Outputs "loss" and "prediction". Its States are the weights.
  std::shared_ptr<const Program> evaluation;

  size_t model_inputs() const { return evaluation->inputs.size() - 1; }
};

// For archives.
void fields(ArchiveWriter& a, TrainingPart& part);
void fields(ArchiveReader& a, TrainingPart& part);

// Whether a part that comes from a file, beside the program of a model, can be run at all: its programs (check_program), that they
// have the inputs, outputs and States that the plan and the others speak of, and that the defaults are within their ranges.
Status check_training_part(const TrainingPart& part, const Program& model);

}  // namespace gannet
