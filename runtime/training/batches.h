// Rows of a data set in batches: each epoch a new order, the same for the same seed on every machine.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "ir/base/error.h"
#include "ir/base/tensor.h"

namespace gannet {

class Batches {
 public:
  // `columns` are tensors of one leading extent N > 0; an error names two whose extents differ, or an empty one.
  static Result<Batches> make(std::vector<std::pair<std::string, Tensor>> columns, int64_t batch_size, uint64_t seed);

  int64_t rows() const { return rows_; }
  int64_t per_epoch() const { return (rows_ + batch_size_ - 1) / batch_size_; }
  // Shuffles for epoch `epoch` (its order depends on the seed and the epoch alone).
  void start_epoch(int64_t epoch);
  // Keeps the order of the data.
  void start_in_order();
  // The columns of batch `index` of the epoch, in the order given to make; the last batch may be smaller.
  std::vector<Tensor> batch(int64_t index) const;

 private:
  std::vector<std::pair<std::string, Tensor>> columns_;
  std::vector<int64_t> order_;
  int64_t rows_ = 0;
  int64_t batch_size_ = 1;
  uint64_t seed_ = 0;
};

}  // namespace gannet
