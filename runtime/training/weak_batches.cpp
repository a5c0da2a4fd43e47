#include "runtime/training/weak_batches.h"

#include <algorithm>
#include <numeric>

#include "runtime/training/training_engine.h"

namespace gannet {

namespace {

constexpr uint64_t kLabelledStream = (uint64_t{1} << 24) - 1,
                   kOtherStream = kLabelledStream - 1;  // no class has them

std::vector<int64_t> numbers_below(size_t count) {
  std::vector<int64_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

// The rows of a batch in the order in which the model gets them.
std::vector<WantedRow> layout(std::span<const int64_t> labelled, std::span<const int64_t> others,
                              UnlabelledViews views) {
  const size_t ratio = others.size() / labelled.size();
  std::vector<WantedRow> wanted;
  for (size_t i = 0; i < labelled.size(); ++i) {
    const std::span<const int64_t> own = others.subspan(i * ratio, ratio);
    wanted.push_back({View::kLabelled, labelled[i]});
    for (const int64_t row : own) wanted.push_back({View::kWeak, row});
    if (views != UnlabelledViews::kWeakAndStrong) continue;
    for (const int64_t row : own) wanted.push_back({View::kStrong, row});
  }
  if (views != UnlabelledViews::kTwice) return wanted;
  const size_t once = wanted.size();
  for (size_t i = 0; i < once; ++i) wanted.push_back(WantedRow(wanted[i]));
  return wanted;
}

}  // namespace

WeakBatches::WeakBatches(Rows rows, const WeakBatchOptions& options)
    : rows_(std::move(rows)),
      options_(options),
      labelled_(rows_.labelled, options.seed, kLabelledStream, rows_.target.extent(0),
                rows_.synthetic_labelled.per_pass),
      others_(numbers_below(rows_.hidden.size()), options.seed, kOtherStream,
              static_cast<int64_t>(rows_.hidden.size()), rows_.synthetic_others.per_pass) {
  CHECK(!rows_.labelled.empty() && other_rows() > 0 && options_.batch_size > 0 && options_.ratio > 0,
        "{} labelled rows, {} others, in batches of {} with {} each", rows_.labelled.size(), other_rows(),
        options_.batch_size, options_.ratio);
  options_.batch_size = std::min(options_.batch_size, this->rows());
}

int64_t WeakBatches::per_epoch() const {
  auto batches = [](int64_t count, int64_t size) { return (count + size - 1) / size; };
  return std::max(batches(rows(), options_.batch_size),
                  batches(other_rows(), options_.batch_size * options_.ratio));
}

double WeakBatches::weight_at(int64_t index) const {
  const int64_t updates_per_epoch = (per_epoch() + options_.accumulate - 1) / options_.accumulate;
  return options_.weight * ramp_at(options_.ramp, epoch_ * updates_per_epoch + index / options_.accumulate);
}

Result<BatchColumns> WeakBatches::read(int64_t index) {
  CHECK(index >= 0 && index < per_epoch(), "batch {} of {}", index, per_epoch());
  const int64_t batch = epoch_ * per_epoch() + index, count = options_.batch_size,
                others = count * options_.ratio;
  std::vector<int64_t> labelled, unlabelled, hidden;
  for (int64_t i = 0; i < count; ++i) labelled.push_back(labelled_.at(batch * count + i));
  for (int64_t i = 0; i < others; ++i) {
    unlabelled.push_back(others_.at(batch * others + i));
    const auto row = static_cast<size_t>(unlabelled.back());
    hidden.push_back(row < rows_.hidden.size() ? rows_.hidden[row] : -1);
  }
  const std::vector<WantedRow> wanted = layout(labelled, unlabelled, options_.views);
  BatchColumns columns = TRY(rows_.source->read(wanted, batch));
  if (options_.views == UnlabelledViews::kTwice) {
    const auto all = static_cast<int64_t>(wanted.size());
    BatchColumns second = rows_of(columns, all / 2, all);
    columns = rows_of(columns, 0, all / 2);
    std::ranges::move(second, std::back_inserter(columns));
  }
  columns.push_back(Tensor::from<int64_t>({count, options_.ratio}, std::span<const int64_t>(hidden)));
  Tensor weights = Tensor::zeros(DType::kF64, {count});
  std::ranges::fill(weights.mutable_data<double>(), weight_at(index));
  columns.push_back(TRY(convert(weights, rows_.weight_dtype)));
  columns.push_back(targets_of(rows_.target, rows_.synthetic_labelled, rows_.target_of_class, labelled));
  return columns;
}

}  // namespace gannet
