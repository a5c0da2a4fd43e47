// Index tensors as data: bounds, and where they point in a row-major tensor.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "ir/infer.h"

namespace gannet {

// `index` counted from the end when negative; an error when it is outside of [-extent, extent).
Result<int64_t> checked_index(int64_t index, int64_t extent);
// All elements of an i32 or i64 tensor, each checked.
Result<std::vector<int64_t>> checked_indices(const Tensor& indices, int64_t extent);

// A row-major tensor seen as [outer, extent, inner] around one axis.
struct AxisSplit {
  AxisSplit(std::span<const int64_t> extents, int64_t axis);
  int64_t outer = 1, extent = 1, inner = 1;
};

// For ops whose operand 1 holds an index for each element (GatherElements, ScatterElements): equal ranks, and no index
// extent beyond the data's except along `axis`.
Status check_element_indices(const InferContext& c, int64_t axis);
// Calls visit(i, at) for each element i of `indices`: `at` is the flat position in a tensor of `extents` of the same
// coordinates with the one along `axis` replaced by the index.
Status for_each_indexed(const std::vector<int64_t>& extents, const Tensor& indices, int64_t axis,
                        const std::function<void(int64_t i, int64_t at)>& visit);

// Index tuples along the last axis of an index tensor (GatherND, ScatterND): each names a block of a tensor of
// `extents`, after `batch` leading axes.
struct TupleIndex {
  TupleIndex(const std::vector<int64_t>& extents, size_t batch, size_t depth);
  // Where the block of tuple number `row` starts within its batch.
  Result<int64_t> locate(const int64_t* tuples, int64_t row) const;

  std::vector<int64_t> extents, strides;  // of the axes that a tuple names
  int64_t batches = 1, batch_elements = 1, block = 1;
};

}  // namespace gannet
