// Labelled rows that a model is trained on and measured with: arrays, texts, pictures.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "ir/base/error.h"
#include "runtime/training/batch_source.h"
#include "tools/deploy/training_target.h"

namespace gannet {

struct BatchRequest {
  int64_t batch_size = 32;
  uint64_t seed = 0;           // of the order in each epoch
  bool join_lone_row = false;  // one row left at the end joins the batch before it
  bool synthetic = false;      // the labelled rows that a generator makes come too
};

// Rows for the inputs of one graph, and their targets.
class LabelledRows {
 public:
  virtual ~LabelledRows() = default;

  // One value, or several, for each row. What the loss needs is made of it in place (fit_target) before
  // batches are.
  TargetColumn target;
  // Integers [rows]: rows of one number give their share to what is held out. Undefined: the target says it where it is
  // such integers.
  Tensor groups = {};
  // The target of each class, in a row each, for rows that a generator makes; undefined: there are none.
  // Fitted as `target`.
  TargetColumn target_of_class = {};

  int64_t rows() const { return target.values.rank() > 0 ? target.values.extent(0) : 0; }
  // Batches of the rows with these numbers, without `chosen` of all. Their columns: the inputs of the graph
  // in its order, then the target. They need these rows to stay alive. An error says what does not fit
  // together.
  virtual Result<std::unique_ptr<BatchSource>> batches(std::optional<std::span<const int64_t>> chosen,
                                                       const BatchRequest& request) const = 0;
};

// Rows to train on, and those to measure on where there are any.
struct TuneBatches {
  std::unique_ptr<LabelledRows> rows, held_out_rows;
  std::unique_ptr<BatchSource> train, held_out;
  std::unique_ptr<BatchSource> labelled;                 // where `train` has other rows too
  std::vector<int64_t> train_numbers, held_out_numbers;  // in the rows that they are of
};

struct TuneBatchOptions {
  int64_t batch_size = 32;
  uint64_t seed = 0;
  std::optional<double> eval_fraction = {};  // of `rows` that are held out where there are no held_out_rows
  bool batch_statistics = false;  // the step normalizes by the batch, for which one row is too few
};

// Makes the batches of `rows` and `held_out_rows`.
Status make_batches(TuneBatches& batches, const TuneBatchOptions& options);

}  // namespace gannet
