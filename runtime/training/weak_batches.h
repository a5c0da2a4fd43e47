// Batches of few labelled rows and many others. Both are read in endless passes of their own, each pass in
// another order, so all batches are full, and a batch is a pure function of the seed and of its number: what
// a checkpoint says of the place in the data is enough for both.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "runtime/training/batch_source.h"
#include "runtime/training/ramp_up.h"
#include "runtime/training/row_order.h"
#include "runtime/training/synthetic_rows.h"

namespace gannet {

// How a row is changed at random before the model sees it.
enum class View { kLabelled, kWeak, kStrong };

struct WantedRow {
  View view = View::kWeak;  // kLabelled: a labelled row, else one of the others
  int64_t row = 0;          // synthetic ones behind all others
};

// Rows as inputs of the model.
class ViewSource {
 public:
  virtual ~ViewSource() = default;
  // The columns of the model's inputs for these rows, in this order, axis 0 of each. What happens to row i is
  // a pure function of the source, `batch` and i.
  virtual Result<BatchColumns> read(std::span<const WantedRow> wanted, int64_t batch) = 0;
};

// What a batch has of each row without a label.
enum class UnlabelledViews {
  kOne,            // weak
  kWeakAndStrong,  // the weak ones, then the strong ones
  kTwice,  // a weak one; and the model's inputs come twice, the second time of other views of all rows,
           // labelled ones too
};

struct WeakBatchOptions {
  int64_t batch_size = 32;  // labelled rows in a batch; no more than there are
  int64_t ratio = 3;        // other rows for each of them
  UnlabelledViews views = UnlabelledViews::kWeakAndStrong;
  double weight = 1;  // of rows without a label
  RampUp ramp;        // of that weight, over updates
  int64_t accumulate = 1;
  uint64_t seed = 0;
};

// Columns: the model's inputs, for each labelled row it and then its others (with kTwice all of this again);
// the labels of the others where they are known, i64 [labelled, ratio], else -1; the weight of the others,
// f32 or the given type [labelled]; the target. An epoch is a pass over the labelled or over the other rows,
// whichever are more batches.
class WeakBatches final : public BatchSource {
 public:
  struct Rows {
    std::shared_ptr<ViewSource> source;
    std::vector<int64_t> labelled;  // numbers of rows of the target, at least one
    Tensor target;
    std::vector<int64_t> hidden;  // a label, or -1, for each row without one
    DType weight_dtype = DType::kF32;
    // Further rows, new ones in each pass; those without labels have no hidden one.
    SyntheticRows synthetic_labelled = {}, synthetic_others = {};
    Tensor target_of_class = {};  // a row for each class, as targets_of takes them
  };
  WeakBatches(Rows rows, const WeakBatchOptions& options);

  int64_t rows() const override {
    return static_cast<int64_t>(rows_.labelled.size()) + rows_.synthetic_labelled.per_pass;
  }
  int64_t per_epoch() const override;
  void start_epoch(int64_t epoch) override { epoch_ = epoch; }
  // There is no order without training: as epoch 0.
  void start_in_order() override { epoch_ = 0; }
  Result<BatchColumns> read(int64_t index) override;
  void set_ramp(const RampUp& ramp) { options_.ramp = ramp; }

 private:
  double weight_at(int64_t index) const;
  int64_t other_rows() const {
    return static_cast<int64_t>(rows_.hidden.size()) + rows_.synthetic_others.per_pass;
  }

  Rows rows_;
  WeakBatchOptions options_;
  RowPasses labelled_, others_;
  int64_t epoch_ = 0;
};

}  // namespace gannet
