// Ops that keep or reverse a part of each row: Trilu, ReverseSequence.
#include <fmt/format.h>

#include <algorithm>

#include "ir/ops/element_copy.h"
#include "ir/ops/indices.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"

namespace gannet {
namespace {

constexpr AttrDef kTriluAttrs[] = {int_attr("upper", 1)};
constexpr AttrDef kReverseAttrs[] = {int_attr("batch_axis", 1), int_attr("time_axis", 0)};

Status infer_trilu(InferContext& c) {
  TRY(expect_tensors(c, 1));
  if (c.has(1)) {
    TRY(expect_dtype(c, 1, DType::kI64, "k"));
    TRY(expect_single(c, 1, "k"));
  }
  if (c.shape(0) && c.shape(0)->size() < 2) {
    return invalid_model(fmt::format("input 0 must have a rank of at least 2, got {}", to_string(c.type(0))));
  }
  c.set(0, c.type(0));
  return {};
}

Status eval_trilu(EvalContext& c) {
  const Tensor& x = c.tensor(0);
  Tensor y = TRY(allocate_inferred(c));
  fill_zero(y);
  if (y.elements() > 0) {
    const int64_t rows = x.extent(x.rank() - 2), columns = x.extent(x.rank() - 1);
    const int64_t k = std::clamp<int64_t>(c.has(1) ? c.tensor(1).int_at(0) : 0, -rows - 1, columns + 1);
    const bool upper = c.attrs().integer("upper") != 0;
    const ElementMover mover(x, y);
    for (int64_t row = 0; row * columns < x.elements(); ++row) {
      const int64_t diagonal = row % rows + k;
      const int64_t first = upper ? std::clamp<int64_t>(diagonal, 0, columns) : 0;
      const int64_t end = upper ? columns : std::clamp<int64_t>(diagonal + 1, 0, columns);
      if (end > first) mover.copy(row * columns + first, row * columns + first, end - first);
    }
  }
  c.set(std::move(y));
  return {};
}

Status trilu_vjp(VjpContext& c) {
  if (c.wants(0)) c.set(0, c.b.op("Trilu", {c.gradient(), c.operand(1)}, {{"upper", c.attrs().integer("upper")}}));
  return {};
}

Status infer_reverse_sequence(InferContext& c) {
  TRY(expect_tensors(c, 2));
  TRY(expect_dtype(c, 1, DType::kI64, "sequence_lens"));
  TRY(expect_list(c, 1, "sequence_lens"));
  const int64_t batch = c.attrs().integer("batch_axis"), time = c.attrs().integer("time_axis");
  if (batch < 0 || batch > 1 || time < 0 || time > 1 || batch == time) {
    return invalid_model(fmt::format("batch_axis {} and time_axis {} must be 0 and 1 or 1 and 0", batch, time));
  }
  if (const Shape* x = c.shape(0)) {
    if (x->size() < 2) return invalid_model(fmt::format("input 0 must have a rank of at least 2, got {}", to_string(c.type(0))));
    if (c.shape(1)) TRY(same_dim((*x)[static_cast<size_t>(batch)], c.shape(1)->front(), batch));
  }
  c.set(0, c.type(0));
  return {};
}

Status eval_reverse_sequence(EvalContext& c) {
  const Tensor &x = c.tensor(0), &lengths = c.tensor(1);
  Tensor y = TRY(allocate_inferred(c));
  if (y.elements() > 0) {
    const int64_t batch_axis = c.attrs().integer("batch_axis");
    const int64_t batches = x.extent(batch_axis), times = x.extent(1 - batch_axis), block = x.elements() / (batches * times);
    const int64_t batch_stride = batch_axis == 0 ? times * block : block, time_stride = batch_axis == 0 ? block : batches * block;
    const ElementMover mover(x, y);
    for (int64_t b = 0; b < batches; ++b) {
      const int64_t length = lengths.int_at(b);
      if (length < 0 || length > times) return invalid_input(fmt::format("sequence length {} is outside of [0, {}]", length, times));
      for (int64_t t = 0; t < times; ++t) {
        const int64_t from = t < length ? length - 1 - t : t;
        mover.copy(b * batch_stride + t * time_stride, b * batch_stride + from * time_stride, block);
      }
    }
  }
  c.set(std::move(y));
  return {};
}

// Reversing twice gives the input back.
Status reverse_sequence_vjp(VjpContext& c) {
  if (!c.wants(0)) return {};
  c.set(0, c.b.op("ReverseSequence", {c.gradient(), c.operand(1)},
                  {{"batch_axis", c.attrs().integer("batch_axis")}, {"time_axis", c.attrs().integer("time_axis")}}));
  return {};
}

}  // namespace

constinit const StructuredOp ops::Trilu = {
    .inputs = {1, 2}, .outputs = {1, 1}, .attrs = kTriluAttrs, .infer = infer_trilu, .eval = eval_trilu};
constinit const GradientRule gradients::Trilu = {.vjp = trilu_vjp};
constinit const StructuredOp ops::ReverseSequence = {.inputs = {2, 2}, .outputs = {1, 1}, .attrs = kReverseAttrs,
    .infer = infer_reverse_sequence, .eval = eval_reverse_sequence};
constinit const GradientRule gradients::ReverseSequence = {.vjp = reverse_sequence_vjp};

}  // namespace gannet
