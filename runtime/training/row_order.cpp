#include "runtime/training/row_order.h"

#include <map>
#include <numeric>

#include "ir/base/random.h"

namespace gannet {

namespace {

constexpr uint64_t kClassStreams = uint64_t{1} << 60;  // no epoch has them

}  // namespace

void number_fresh(std::span<int64_t> rows, int64_t first) {
  for (int64_t& row : rows) {
    if (row == kFreshRow) row = first++;
  }
}

int64_t RowPasses::at(int64_t position) {
  const int64_t size = static_cast<int64_t>(rows_.size()) + fresh_;
  if (position / size != pass_) {
    pass_ = position / size;
    order_ = rows_;
    order_.insert(order_.end(), static_cast<size_t>(fresh_), kFreshRow);
    Random random(seed_, kClassStreams | label_ << 36 | static_cast<uint64_t>(pass_));
    random.shuffle(std::span<int64_t>(order_));
    number_fresh(order_, first_fresh_ + pass_ * fresh_);
  }
  return order_[static_cast<size_t>(position % size)];
}

std::vector<int64_t> shuffled_rows(int64_t rows, uint64_t seed, int64_t epoch) {
  std::vector<int64_t> order(static_cast<size_t>(rows));
  std::iota(order.begin(), order.end(), 0);
  Random random(seed, static_cast<uint64_t>(epoch) + 1);
  random.shuffle(std::span<int64_t>(order));
  return order;
}

std::vector<int64_t> balanced_rows(std::span<const int64_t> class_of_row, uint64_t seed, int64_t epoch) {
  std::map<int64_t, std::vector<int64_t>> rows_of;
  for (size_t row = 0; row < class_of_row.size(); ++row)
    rows_of[class_of_row[row]].push_back(static_cast<int64_t>(row));
  const auto total = static_cast<int64_t>(class_of_row.size()),
             classes = static_cast<int64_t>(rows_of.size());
  std::vector<int64_t> order;
  int64_t index = 0;
  for (auto& [label, rows] : rows_of) {
    // Over many epochs class i has the share of the numbers n of [0, epochs * total) with n mod classes = i.
    const auto before = [&](int64_t end) { return (end + classes - 1 - index) / classes; };
    RowPasses passes(std::move(rows), seed, static_cast<uint64_t>(index));
    for (int64_t n = before(epoch * total); n < before((epoch + 1) * total); ++n)
      order.push_back(passes.at(n));
    ++index;
  }
  const std::vector<int64_t> places = shuffled_rows(static_cast<int64_t>(order.size()), seed, epoch);
  std::vector<int64_t> result;
  for (const int64_t place : places) result.push_back(order[static_cast<size_t>(place)]);
  return result;
}

}  // namespace gannet
