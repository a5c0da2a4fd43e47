#include "tools/deploy/labelled_rows.h"

#include <numeric>

#include "runtime/training/batches.h"

namespace gannet {

namespace {

std::vector<int64_t> all_numbers(const LabelledRows& rows) {
  std::vector<int64_t> numbers(static_cast<size_t>(rows.rows()));
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

}  // namespace

Status make_batches(TuneBatches& batches, const TuneBatchOptions& options) {
  const BatchRequest for_measures = {options.batch_size, options.seed, false};
  const bool synthetic = batches.rows->target_of_class.values.defined();
  const BatchRequest for_training = {options.batch_size, options.seed, options.batch_statistics, synthetic};
  if (batches.held_out_rows) {
    batches.held_out = TRY(batches.held_out_rows->batches(std::nullopt, for_measures));
    batches.held_out_numbers = all_numbers(*batches.held_out_rows);
  }
  if (batches.held_out_rows || !options.eval_fraction || *options.eval_fraction == 0) {
    batches.train_numbers = all_numbers(*batches.rows);
    batches.train = TRY(batches.rows->batches(std::nullopt, for_training));
    if (synthetic && !batches.held_out)
      batches.labelled = TRY(batches.rows->batches(std::nullopt, for_measures));
    return {};
  }
  const Tensor& groups = batches.rows->groups.defined() ? batches.rows->groups : batches.rows->target.values;
  const bool stratified = is_int(groups.dtype()) && groups.rank() == 1;
  const Result<RowSplit> split = split_rows(batches.rows->rows(), stratified ? &groups : nullptr,
                                            *options.eval_fraction, options.seed);
  if (!split.ok()) return with_prefix(batches.rows->target.file + ": ", split.error());
  batches.held_out = TRY(batches.rows->batches(split->held_out, for_measures));
  batches.held_out_numbers = split->held_out;
  batches.train_numbers = split->train;
  batches.train = TRY(batches.rows->batches(split->train, for_training));
  return {};
}

}  // namespace gannet
