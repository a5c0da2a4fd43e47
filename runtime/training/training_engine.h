// What a trainer drives: updates on batches, losses on held-out ones, and all State by name. States of one
// name in two graphs are one thing.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "runtime/data/npy.h"
#include "runtime/training/batch_source.h"
#include "runtime/training/graph_runner.h"
#include "runtime/training/training_observer.h"

namespace gannet {

struct EngineGraphs {
  // Inputs: the columns of a batch, then one scalar: the learning rate, or with `apply` the share of the
  // batch in the update. Output "loss": the mean over the batch. Outputs "measure/NAME": [2], a sum and what
  // it is divided by.
  std::unique_ptr<GraphRunner> step;
  // Where the step takes, in front of column `seed_input`, an i64 scalar that its own random ops follow from.
  std::optional<size_t> seed_input = {};
  // With accumulation, else null: from the summed gradients to new weights; its one input is the learning
  // rate.
  std::unique_ptr<GraphRunner> apply;
  // Inputs: the columns; outputs "loss" and "prediction". Changes no State. Null: the engine cannot evaluate.
  std::unique_ptr<GraphRunner> evaluation;
  bool averages = true;  // weights() are moving averages where the step keeps them
};

struct Updated {
  double loss = 0;  // mean over the rows, before the update
  std::vector<Measure> measures;
};

struct Evaluated {
  double loss = 0;
  Tensor prediction;
};

class TrainingEngine {
 public:
  explicit TrainingEngine(EngineGraphs graphs);

  // One update on one batch, or with accumulation on several, which count by their rows. Measures whose
  // divisor is 0 are left out. Random ops draw from `seed`.
  Result<Updated> update(std::span<const BatchColumns> batches, double rate, uint64_t seed);
  // Of co-teaching's two models, which one evaluate() and weights() are about: the first unless said otherwise.
  bool has_second() const;
  void choose_second(bool second);
  bool accumulates() const { return graphs_.apply != nullptr; }
  bool evaluates() const { return graphs_.evaluation != nullptr; }
  // With the present weights().
  Result<Evaluated> evaluate(const BatchColumns& batch);
  // Evaluates with these weights, as weights() gives them, until the next update or restore.
  Status evaluate_with(const NamedTensors& weights);

  // Every State: what a run continues from. The tensors share memory with the engine's until the next update.
  NamedTensors states() const;
  // Takes States back; an error names one that is missing, unknown or of another type.
  Status restore(const NamedTensors& states);
  // The States of the model under their names (those of the first, where the second is chosen); moving
  // averages where the step keeps them and EngineGraphs::averages says so.
  NamedTensors weights() const;

  // Copies States that others hold as well (a mapped file), as the first update would.
  Status own_states();
  // Plans an update and an evaluation on so many rows like those of `batch` without running: arena_bytes() tells then what they
  // take. Unsupported where that depends on the data.
  Status plan_for(const BatchColumns& batch, int64_t rows);
  int64_t state_bytes() const;
  int64_t arena_bytes() const;

 private:
  struct Link {
    size_t from = 0, to = 0;
  };
  static std::vector<Link> links(const GraphRunner& from, const GraphRunner& to);
  static Status hand_over(GraphRunner& from, GraphRunner& to, const std::vector<Link>& links);
  void end_evaluation();
  // The graph that holds a State between updates.
  std::optional<std::pair<GraphRunner*, size_t>> owner_of(const std::string& name) const;
  const Tensor* find(const std::string& name) const;
  std::vector<Datum> step_inputs(const BatchColumns& batch, double scalar, uint64_t seed) const;

  EngineGraphs graphs_;
  std::vector<Link> to_apply_, from_apply_;
  bool evaluation_is_stale_ = true;
  bool second_ = false;
};

// Rows [begin, end) of each column.
BatchColumns rows_of(const BatchColumns& batch, int64_t begin, int64_t end);

}  // namespace gannet
