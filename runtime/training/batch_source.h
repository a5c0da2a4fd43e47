// Where a trainer gets its batches: arrays, texts, pictures.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/base/error.h"
#include "ir/base/tensor.h"

namespace gannet {

// The columns of a batch in the order of the step's inputs; axis 0 of each are its rows.
using BatchColumns = std::vector<Tensor>;

class BatchSource {
 public:
  virtual ~BatchSource() = default;
  virtual int64_t rows() const = 0;
  // The same for every epoch.
  virtual int64_t per_epoch() const = 0;
  // What read gives from now on is a pure function of the source, `epoch` and the index, so that a resumed
  // run sees the same batches.
  virtual void start_epoch(int64_t epoch) = 0;
  // All rows as they are, for evaluation: the same batches each time, none larger than the first.
  virtual void start_in_order() = 0;
  // Batch `index` of per_epoch().
  virtual Result<BatchColumns> read(int64_t index) = 0;
};

}  // namespace gannet
