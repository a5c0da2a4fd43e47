// Ops that give sizes as data: Shape, Size, and Dims, the leaf that holds symbolic dimensions.
#include <fmt/format.h>

#include <algorithm>

#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"

namespace gannet {
namespace {

constexpr AttrDef kShapeAttrs[] = {int_attr("start", 0), optional_attr("end", AttrKind::kInt)};
constexpr AttrDef kDimsAttrs[] = {required_attr("dims", AttrKind::kDims), int_attr("scalar", 0)};

struct AxisRange {
  size_t first = 0;
  size_t end = 0;
};

// The axes that Shape lists, of a tensor of this rank.
AxisRange listed_axes(const Attributes& attrs, int64_t rank) {
  const auto clamped = [&](int64_t axis) { return std::clamp<int64_t>(axis < 0 ? axis + rank : axis, 0, rank); };
  const int64_t first = clamped(attrs.integer("start"));
  const int64_t end = attrs.has("end") ? clamped(attrs.integer("end")) : rank;
  return {static_cast<size_t>(first), static_cast<size_t>(std::max(first, end))};
}

Status infer_shape(InferContext& c) {
  TRY(expect_tensors(c, 1));
  const Shape* x = c.shape(0);
  if (!x) {
    c.set_tensor(0, DType::kI64, fresh_shape(c, 1, "rank"));
    return {};
  }
  const AxisRange range = listed_axes(c.attrs(), static_cast<int64_t>(x->size()));
  Shape listed(x->begin() + static_cast<ptrdiff_t>(range.first), x->begin() + static_cast<ptrdiff_t>(range.end));
  c.set_tensor(0, DType::kI64, Shape{static_cast<int64_t>(listed.size())});
  c.set_contents(0, std::move(listed));
  return {};
}

Status eval_shape(EvalContext& c) {
  const std::vector<int64_t>& extents = c.tensor(0).extents();
  const AxisRange range = listed_axes(c.attrs(), c.tensor(0).rank());
  c.set(Tensor::of_ints(std::span(extents).subspan(range.first, range.end - range.first)));
  return {};
}

Status infer_size(InferContext& c) {
  TRY(expect_tensors(c, 1));
  c.set_tensor(0, DType::kI64, Shape{});
  if (const Shape* x = c.shape(0)) c.set_contents(0, {element_count(*x)});
  return {};
}

Status eval_size(EvalContext& c) {
  c.set(Tensor::scalar<int64_t>(c.tensor(0).elements()));
  return {};
}

Status infer_dims(InferContext& c) {
  const Shape& dims = c.attrs().dims("dims");
  const bool scalar = c.attrs().integer("scalar") != 0;
  if (scalar && dims.size() != 1) return invalid_model(fmt::format("a scalar takes 1 dimension, got {}", dims.size()));
  c.set_tensor(0, DType::kI64, scalar ? Shape{} : Shape{static_cast<int64_t>(dims.size())});
  c.set_contents(0, dims);
  return {};
}

Status eval_dims(EvalContext& c) {
  const std::vector<int64_t> values = TRY(evaluate(c.attrs().dims("dims"), c.services().symbols()));
  Tensor result = Tensor::of_ints(values);
  c.set(c.attrs().integer("scalar") ? result.reshaped({}) : std::move(result));
  return {};
}

}  // namespace

constinit const StructuredOp ops::Shape = {
    .inputs = {1, 1}, .outputs = {1, 1}, .attrs = kShapeAttrs, .infer = infer_shape, .eval = eval_shape, .no_gradient = "extents are integers"};
constinit const StructuredOp ops::Size = {
    .inputs = {1, 1}, .outputs = {1, 1}, .attrs = {}, .infer = infer_size, .eval = eval_size, .no_gradient = "a count is an integer"};
constinit const StructuredOp ops::Dims = {
    .inputs = {0, 0}, .outputs = {1, 1}, .attrs = kDimsAttrs, .infer = infer_dims, .eval = eval_dims, .no_gradient = "extents are integers"};

}  // namespace gannet
