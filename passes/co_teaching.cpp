#include "passes/co_teaching.h"

#include <algorithm>

#include "ir/op.h"

namespace gannet {

namespace {

using E = ScalarExpr;

Status check_options(const CoTeachingOptions& options, const LossOptions& loss) {
  if (!(options.forget_rate >= 0 && options.forget_rate < 1))
    return invalid_input(
        fmt::format("the share of a batch to forget must be at least 0 and below 1, got {}", options.forget_rate));
  if (!loss.class_weights.empty()) return invalid_input("co-teaching has no weights for classes");
  if (loss.ignore_index) return invalid_input("co-teaching has no ignored class");
  if (loss.sample_weights) return invalid_input("co-teaching has no weights for rows");
  return {};
}

// 1 for the `count` rows of smallest loss, else 0. Both operands of a comparison are rows of a square: row i is
// chosen where fewer than `count` rows j stand before it.
Value* smallest(GraphBuilder& b, Value* losses, Value* count) {
  const DType dtype = losses->type.dtype;
  Value* ones = b.full(*losses->type.shape, dtype, 1);
  Value* places = b.op("CumSum", {ones, b.constant(Tensor::scalar<int64_t>(0))});
  E mine = E::arg(0), other = E::arg(1), my_place = E::arg(2), other_place = E::arg(3);
  E before = other < mine || (other == mine && other_place < my_place);
  Value* square = b.map(cast(before, dtype), {b.unsqueeze(losses, {1}), b.unsqueeze(losses, {0}), b.unsqueeze(places, {1}),
                                             b.unsqueeze(places, {0})});
  Value* rank = b.reduce_sum(square, {1}, false);
  // No gradient passes a comparison.
  return b.cast(b.op("Less", {rank, count}), dtype);
}

}  // namespace

Result<CoTeachingLoss> build_co_teaching_loss(GraphBuilder& b, const CoTeachingOptions& options,
                                              const LossOptions& loss, Value* first, Value* second) {
  TRY(check_options(options, loss));
  Graph& graph = b.graph();
  CoTeachingLoss result;
  const RowLosses mine = TRY(build_row_losses(b, loss, first, nullptr));
  const RowLosses others = TRY(build_row_losses(b, loss, second, mine.target));
  Value* done = graph.add_state_value("co_teaching.batches", Type::tensor(DType::kI64, Shape{}));
  result.batches = {"co_teaching.batches", done, b.map(E::arg(0) + E::integer(1), {done}),
                    Tensor::scalar<int64_t>(0), {}};
  const DType dtype = first->type.dtype;
  Value* rows = b.cast(b.squeeze(b.dims({(*mine.rows->type.shape)[0]}), {0}), DType::kF64);
  // A share such as 0.6 of 10 rows are 6 of them, whatever its last bit.
  constexpr double kSlack = 1e-9;
  const double ramp = static_cast<double>(std::max<int64_t>(options.ramp_batches, 1));
  E rate = options.ramp_batches > 0 ? options.forget_rate * scalar::min(E::arg(0) / ramp, 1.0)
                                    : E(options.forget_rate);
  E kept = scalar::max(scalar::floor((1.0 - rate) * E::arg(1) + kSlack), 1.0);
  Value* count = b.cast(b.map(kept, {b.cast(done, DType::kF64), rows}), dtype);
  Value* of_first = b.reduce_sum(b.mul(mine.rows, smallest(b, others.rows, count)), {0}, false);
  Value* of_second = b.reduce_sum(b.mul(others.rows, smallest(b, mine.rows, count)), {0}, false);
  result.minimized = b.div(b.add(of_first, of_second), count);
  result.reported = b.mul(result.minimized, b.number(0.5, result.minimized));
  TRY(Status(b.status()));
  return result;
}

}  // namespace gannet
