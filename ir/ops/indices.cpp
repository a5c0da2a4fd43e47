#include "ir/ops/indices.h"

#include <fmt/format.h>

#include "ir/ops/operand_checks.h"

namespace gannet {
namespace {

// Beside an extent of 0 the others may be of any size; such products are never used, and may wrap.
void multiply(int64_t& product, int64_t extent) {
  product = static_cast<int64_t>(static_cast<uint64_t>(product) * static_cast<uint64_t>(extent));
}

}  // namespace

Result<int64_t> checked_index(int64_t index, int64_t extent) {
  if (index < -extent || index >= extent) return invalid_input(fmt::format("index {} is outside of an extent of {}", index, extent));
  return index < 0 ? index + extent : index;
}

Result<std::vector<int64_t>> checked_indices(const Tensor& indices, int64_t extent) {
  std::vector<int64_t> result = indices.ints();
  for (int64_t& index : result) index = TRY(checked_index(index, extent));
  return result;
}

AxisSplit::AxisSplit(std::span<const int64_t> extents, int64_t axis) : extent(extents[static_cast<size_t>(axis)]) {
  for (size_t i = 0; i < extents.size(); ++i) {
    if (static_cast<int64_t>(i) < axis) multiply(outer, extents[i]);
    if (static_cast<int64_t>(i) > axis) multiply(inner, extents[i]);
  }
}

Status check_element_indices(const InferContext& c, int64_t axis) {
  const Shape *x = c.shape(0), *indices = c.shape(1);
  if (!x) return {};
  const int64_t rank = static_cast<int64_t>(x->size());
  if (rank == 0) return invalid_model("input 0 (data) must have a rank of at least 1, got 0");
  const int64_t normalized = TRY(normalize_axis(axis, rank));
  TRY(expect_rank(c, 1, rank, "indices"));
  for (int64_t i = 0; indices && i < rank; ++i) {
    const Dim &have = (*x)[static_cast<size_t>(i)], &want = (*indices)[static_cast<size_t>(i)];
    if (i != normalized && have.is_constant() && want.is_constant() && want.constant() > have.constant()) {
      return invalid_model(fmt::format("axis {} of indices has extent {}, beyond the data's {}", i, want.constant(), have.constant()));
    }
  }
  return {};
}

Status for_each_indexed(const std::vector<int64_t>& extents, const Tensor& indices, int64_t axis,
                        const std::function<void(int64_t i, int64_t at)>& visit) {
  const std::vector<int64_t> strides = row_major_strides(extents);
  const size_t along = static_cast<size_t>(axis);
  const std::vector<int64_t> values = TRY(checked_indices(indices, extents[along]));
  std::vector<int64_t> position(extents.size(), 0);
  int64_t base = 0;  // of the coordinates other than the one along the axis
  for (size_t i = 0; i < values.size(); ++i) {
    visit(static_cast<int64_t>(i), base + values[i] * strides[along]);
    for (size_t k = extents.size(); k-- > 0;) {
      const int64_t stride = k == along ? 0 : strides[k];
      base += stride;
      if (++position[k] < indices.extents()[k]) break;
      base -= stride * position[k];
      position[k] = 0;
    }
  }
  return {};
}

TupleIndex::TupleIndex(const std::vector<int64_t>& all_extents, size_t batch, size_t depth) {
  const std::vector<int64_t> all_strides = row_major_strides(all_extents);
  for (size_t i = 0; i < all_extents.size(); ++i) {
    if (i < batch) multiply(batches, all_extents[i]);
    else multiply(batch_elements, all_extents[i]);
    if (i >= batch && i < batch + depth) {
      extents.push_back(all_extents[i]);
      strides.push_back(all_strides[i]);
    }
    if (i >= batch + depth) multiply(block, all_extents[i]);
  }
}

Result<int64_t> TupleIndex::locate(const int64_t* tuples, int64_t row) const {
  const int64_t* tuple = tuples + row * static_cast<int64_t>(extents.size());
  int64_t at = 0;
  for (size_t i = 0; i < extents.size(); ++i) at += TRY(checked_index(tuple[i], extents[i])) * strides[i];
  return at;
}

}  // namespace gannet
