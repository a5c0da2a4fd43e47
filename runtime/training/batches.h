// Rows of arrays in batches: each epoch a new order, the same for the same seed on every machine.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ir/base/error.h"
#include "ir/base/tensor.h"
#include "runtime/training/batch_source.h"

namespace gannet {

using NamedColumns = std::vector<std::pair<std::string, Tensor>>;

// The rows of each column with these numbers, in this order.
NamedColumns take_rows(const NamedColumns& columns, std::span<const int64_t> rows);

struct RowSplit {
  std::vector<int64_t> train, held_out;  // ascending
};

// Holds out about `fraction` of the rows, at least one and not all of them (an error where there are fewer
// than two). With `labels`, one integer for each row, every class gives its share, by largest remainders, and
// keeps a row to train on.
Result<RowSplit> split_rows(int64_t rows, const Tensor* labels, double fraction, uint64_t seed);

class Batches final : public BatchSource {
 public:
  // `columns` are tensors of one leading extent N > 0; an error names two whose extents differ, or an empty
  // one.
  // With `join_lone_row`, a row that would be left alone at the end joins the batch before it: statistics of
  // a batch of one row are none.
  static Result<Batches> make(NamedColumns columns, int64_t batch_size, uint64_t seed,
                              bool join_lone_row = false);

  int64_t rows() const override { return rows_; }
  int64_t per_epoch() const override {
    return std::max<int64_t>((rows_ + batch_size_ - 1 - joined_) / batch_size_, 1);
  }
  // Shuffles for epoch `epoch` (its order depends on the seed and the epoch alone).
  void start_epoch(int64_t epoch) override;
  void start_in_order() override;
  // The columns of batch `index` of the epoch, in the order given to make; the last batch may be smaller.
  BatchColumns batch(int64_t index) const;
  Result<BatchColumns> read(int64_t index) override { return batch(index); }

 private:
  NamedColumns columns_;
  std::vector<int64_t> order_;
  int64_t rows_ = 0;
  int64_t batch_size_ = 1;
  int64_t joined_ = 0;  // rows that the last batch has too many
  uint64_t seed_ = 0;
};

}  // namespace gannet
