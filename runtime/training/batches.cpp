#include "runtime/training/batches.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <numeric>

#include "ir/base/random.h"
#include "runtime/training/row_order.h"

namespace gannet {

namespace {

constexpr uint64_t kSplitStream = uint64_t{1} << 62;  // no epoch has it

Tensor gather(const Tensor& tensor, std::span<const int64_t> rows) {
  std::vector<int64_t> extents = tensor.extents();
  const auto row_bytes = static_cast<size_t>(tensor.bytes() / std::max<int64_t>(extents[0], 1));
  extents[0] = static_cast<int64_t>(rows.size());
  Tensor result = Tensor::zeros(tensor.dtype(), std::move(extents));
  if (row_bytes == 0 || rows.empty()) return result;
  auto* out = static_cast<std::byte*>(result.mutable_raw());
  const auto* in = static_cast<const std::byte*>(tensor.raw());
  for (size_t i = 0; i < rows.size(); ++i)
    std::memcpy(out + i * row_bytes, in + static_cast<size_t>(rows[i]) * row_bytes, row_bytes);
  return result;
}

// How many of each group's rows to hold out: its share of `wanted`, the remainders to the largest ones.
std::vector<int64_t> quotas(const std::vector<std::vector<int64_t>>& groups, int64_t rows, int64_t wanted) {
  std::vector<int64_t> result;
  std::vector<std::pair<int64_t, size_t>>
      remainders;  // negative, so that sorting puts the largest and first one first
  int64_t given = 0;
  for (size_t i = 0; i < groups.size(); ++i) {
    const auto size = static_cast<int64_t>(groups[i].size());
    const int64_t share = size * wanted / rows;
    given += share;
    result.push_back(share);
    if (size > share + 1) remainders.emplace_back(-(size * wanted % rows), i);
  }
  std::ranges::sort(remainders);
  for (size_t i = 0; i < remainders.size() && given < wanted; ++i, ++given) ++result[remainders[i].second];
  return result;
}

}  // namespace

NamedColumns take_rows(const NamedColumns& columns, std::span<const int64_t> rows) {
  NamedColumns result;
  for (const auto& [name, tensor] : columns) result.emplace_back(name, gather(tensor, rows));
  return result;
}

Result<RowSplit> split_rows(int64_t rows, const Tensor* labels, double fraction, uint64_t seed) {
  if (rows < 2) return invalid_input(fmt::format("{} row cannot be split", rows));
  const int64_t wanted = std::clamp<int64_t>(std::llround(fraction * static_cast<double>(rows)), 1, rows - 1);
  std::map<int64_t, size_t> positions;
  std::vector<std::vector<int64_t>> groups;
  for (int64_t row = 0; row < rows; ++row) {
    const auto [at, added] = positions.emplace(labels ? labels->int_at(row) : 0, groups.size());
    if (added) groups.emplace_back();
    groups[at->second].push_back(row);
  }
  Random random(seed, kSplitStream);
  const std::vector<int64_t> counts = quotas(groups, rows, wanted);
  RowSplit split;
  for (size_t i = 0; i < groups.size(); ++i) {
    random.shuffle(std::span<int64_t>(groups[i]));
    const auto middle = groups[i].begin() + counts[i];
    split.held_out.insert(split.held_out.end(), groups[i].begin(), middle);
    split.train.insert(split.train.end(), middle, groups[i].end());
  }
  std::ranges::sort(split.train);
  std::ranges::sort(split.held_out);
  if (split.held_out.empty())
    return invalid_input(fmt::format("{} rows of {} classes leave none to hold out", rows, groups.size()));
  return split;
}

Result<Batches> Batches::make(NamedColumns columns, int64_t batch_size, uint64_t seed, bool join_lone_row) {
  CHECK(!columns.empty() && batch_size > 0, "{} columns in batches of {}", columns.size(), batch_size);
  Batches batches;
  for (const auto& [name, tensor] : columns) {
    if (tensor.rank() == 0 || tensor.extent(0) == 0)
      return invalid_input(fmt::format("'{}' has no rows: {}", name, type_string(tensor)));
    if (tensor.dtype() == DType::kString) return invalid_input(fmt::format("'{}' holds strings", name));
    if (batches.rows_ == 0) batches.rows_ = tensor.extent(0);
    if (tensor.extent(0) != batches.rows_) {
      return invalid_input(fmt::format("'{}' has {} rows, '{}' has {}", name, tensor.extent(0),
                                       columns[0].first, batches.rows_));
    }
  }
  batches.columns_ = std::move(columns);
  batches.batch_size_ = std::min(batch_size, batches.rows_);
  batches.joined_ =
      join_lone_row && batches.batch_size_ > 1 && batches.rows_ % batches.batch_size_ == 1 ? 1 : 0;
  batches.seed_ = seed;
  batches.start_in_order();
  return batches;
}

void Batches::start_in_order() {
  order_.resize(static_cast<size_t>(rows_));
  std::iota(order_.begin(), order_.end(), 0);
}

void Batches::start_epoch(int64_t epoch) {
  order_ = shuffled_rows(rows_, seed_, epoch);
}

BatchColumns Batches::batch(int64_t index) const {
  const int64_t first = index * batch_size_;
  const bool last = index == per_epoch() - 1;
  const int64_t count = last ? rows_ - first : batch_size_;
  CHECK(index >= 0 && index < per_epoch(), "batch {} of {}", index, per_epoch());
  const std::span<const int64_t> rows(order_.data() + first, static_cast<size_t>(count));
  BatchColumns result;
  for (const auto& [name, tensor] : columns_) result.push_back(gather(tensor, rows));
  return result;
}

}  // namespace gannet
