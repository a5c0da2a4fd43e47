#include "runtime/training/batches.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "ir/base/random.h"

namespace gannet {

Result<Batches> Batches::make(std::vector<std::pair<std::string, Tensor>> columns, int64_t batch_size, uint64_t seed) {
  CHECK(!columns.empty() && batch_size > 0, "{} columns in batches of {}", columns.size(), batch_size);
  Batches batches;
  for (const auto& [name, tensor] : columns) {
    if (tensor.rank() == 0 || tensor.extent(0) == 0) return invalid_input(fmt::format("'{}' has no rows: {}", name, type_string(tensor)));
    if (tensor.dtype() == DType::kString) return invalid_input(fmt::format("'{}' holds strings", name));
    if (batches.rows_ == 0) batches.rows_ = tensor.extent(0);
    if (tensor.extent(0) != batches.rows_) {
      return invalid_input(fmt::format("'{}' has {} rows, '{}' has {}", name, tensor.extent(0), columns[0].first, batches.rows_));
    }
  }
  batches.columns_ = std::move(columns);
  batches.batch_size_ = std::min(batch_size, batches.rows_);
  batches.seed_ = seed;
  batches.start_in_order();
  return batches;
}

void Batches::start_in_order() {
  order_.resize(static_cast<size_t>(rows_));
  std::iota(order_.begin(), order_.end(), 0);
}

void Batches::start_epoch(int64_t epoch) {
  start_in_order();
  Random random(seed_, static_cast<uint64_t>(epoch) + 1);
  random.shuffle(std::span<int64_t>(order_));
}

std::vector<Tensor> Batches::batch(int64_t index) const {
  int64_t first = index * batch_size_;
  int64_t count = std::min(batch_size_, rows_ - first);
  CHECK(index >= 0 && count > 0, "batch {} of {}", index, per_epoch());
  std::vector<Tensor> result;
  for (const auto& [name, tensor] : columns_) {
    std::vector<int64_t> extents = tensor.extents();
    extents[0] = count;
    Tensor rows = Tensor::zeros(tensor.dtype(), std::move(extents));
    size_t row_bytes = static_cast<size_t>(tensor.bytes() / rows_);
    auto* out = static_cast<std::byte*>(rows.mutable_raw());
    const auto* in = static_cast<const std::byte*>(tensor.raw());
    for (int64_t i = 0; i < count; ++i) {
      int64_t row = order_[static_cast<size_t>(first + i)];
      std::memcpy(out + static_cast<size_t>(i) * row_bytes, in + static_cast<size_t>(row) * row_bytes, row_bytes);
    }
    result.push_back(std::move(rows));
  }
  return result;
}

}  // namespace gannet
