// Ops that pick elements by index: Gather, GatherElements, GatherND; and GatherGradient, the adjoint of Gather.
#include <fmt/format.h>

#include <algorithm>

#include "ir/ops/element_copy.h"
#include "ir/ops/indices.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"

namespace gannet {
namespace {

constexpr AttrDef kAxisAttrs[] = {int_attr("axis", 0)};
constexpr AttrDef kBatchAttrs[] = {int_attr("batch_dims", 0)};

// The elements of a known list that known indices pick.
Status gather_contents(InferContext& c) {
  if (!c.shape(0) || c.shape(0)->size() != 1 || !c.shape(1) || c.shape(1)->size() > 1) return {};
  const std::optional<std::vector<Dim>> data = short_contents(c, 0), indices = short_contents(c, 1);
  if (!data || !indices || !is_static(*indices)) return {};
  std::vector<Dim> picked;
  for (const Dim& index : *indices) {
    picked.push_back((*data)[static_cast<size_t>(TRY(checked_index(index.constant(), static_cast<int64_t>(data->size()))))]);
  }
  c.set_contents(0, std::move(picked));
  return {};
}

Status infer_gather(InferContext& c) {
  TRY(expect_tensors(c, 2));
  TRY(expect_index(c, 1, "indices"));
  const Shape *x = c.shape(0), *indices = c.shape(1);
  if (!x || !indices) {
    c.set_tensor(0, c.dtype(0), std::nullopt);
    return {};
  }
  if (x->empty()) return invalid_model("input 0 (data) must have a rank of at least 1, got 0");
  const auto axis = TRY(normalize_axis(c.attrs().integer("axis"), static_cast<int64_t>(x->size())));
  Shape shape(x->begin(), x->begin() + axis);
  shape.insert(shape.end(), indices->begin(), indices->end());
  shape.insert(shape.end(), x->begin() + axis + 1, x->end());
  TRY(gather_contents(c));
  c.set_tensor(0, c.dtype(0), std::move(shape));
  return {};
}

Status eval_gather(EvalContext& c) {
  const Tensor &x = c.tensor(0), &indices = c.tensor(1);
  const int64_t axis = TRY(normalize_axis(c.attrs().integer("axis"), x.rank()));
  const std::vector<int64_t> picked = TRY(checked_indices(indices, x.extent(axis)));
  Tensor y = TRY(allocate_inferred(c));
  if (y.elements() > 0) {
    const AxisSplit split(x.extents(), axis);
    const ElementMover mover(x, y);
    int64_t written = 0;
    for (int64_t outer = 0; outer < split.outer; ++outer) {
      for (int64_t index : picked) {
        mover.copy(written, (outer * split.extent + index) * split.inner, split.inner);
        written += split.inner;
      }
    }
  }
  c.set(std::move(y));
  return {};
}

Status gather_vjp(VjpContext& c) {
  if (!c.wants(0)) return {};
  const Shape x = TRY(known_shape(c.operand(0), "the input"));
  c.set(0, c.b.op("GatherGradient", {c.gradient(), c.operand(1), c.b.dims(x)}, {{"axis", c.attrs().integer("axis")}}));
  return {};
}

Status infer_gather_gradient(InferContext& c) {
  TRY(expect_tensors(c, 3));
  TRY(expect_float(c, 0, "dy"));
  TRY(expect_index(c, 1, "indices"));
  TRY(expect_dtype(c, 2, DType::kI64, "shape"));
  TRY(expect_list(c, 2, "shape"));
  const std::optional<std::vector<Dim>> shape = short_contents(c, 2);
  if (!shape) {
    const std::optional<int64_t> rank = list_length(c, 2);
    c.set_tensor(0, c.dtype(0), rank && *rank <= kMaxContents ? std::optional(fresh_shape(c, *rank, "gathered")) : std::nullopt);
    return {};
  }
  const int64_t axis = TRY(normalize_axis(c.attrs().integer("axis"), static_cast<int64_t>(shape->size())));
  if (c.shape(0) && c.shape(1)) {
    Shape dy(shape->begin(), shape->begin() + axis);
    dy.insert(dy.end(), c.shape(1)->begin(), c.shape(1)->end());
    dy.insert(dy.end(), shape->begin() + axis + 1, shape->end());
    TRY(merge_shapes(*c.shape(0), dy));
  }
  c.set_tensor(0, c.dtype(0), *shape);
  return {};
}

// Sums rows of `dy` into rows of `dx`, in their order.
template <class T>
void add_rows(const Tensor& dy, std::span<const int64_t> indices, const AxisSplit& split, Tensor& dx) {
  using Sum = std::conditional_t<std::is_same_v<T, double>, double, float>;
  std::vector<Sum> sums(static_cast<size_t>(dx.elements()), Sum(0));
  const T* from = dy.data<T>().data();
  for (int64_t outer = 0; outer < split.outer; ++outer) {
    for (int64_t index : indices) {
      Sum* row = sums.data() + (outer * split.extent + index) * split.inner;
      for (int64_t i = 0; i < split.inner; ++i) row[i] += static_cast<Sum>(*from++);
    }
  }
  const std::span<T> to = dx.mutable_data<T>();
  for (size_t i = 0; i < sums.size(); ++i) to[i] = T(sums[i]);
}

Status eval_gather_gradient(EvalContext& c) {
  Tensor dx = TRY(allocate_inferred(c));
  const int64_t axis = TRY(normalize_axis(c.attrs().integer("axis"), dx.rank()));
  const std::vector<int64_t> indices = TRY(checked_indices(c.tensor(1), dx.extent(axis)));
  const AxisSplit split(dx.extents(), axis);
  visit_dtype(dx.dtype(), [&]<class T>(Tag<T>) {
    if constexpr (is_float(dtype_of<T>())) {
      if (c.tensor(0).elements() > 0) add_rows<T>(c.tensor(0), indices, split, dx);
      else fill_zero(dx);
    }
  });
  c.set(std::move(dx));
  return {};
}

Status gather_gradient_vjp(VjpContext& c) {
  if (c.wants(0)) c.set(0, c.b.op("Gather", {c.gradient(), c.operand(1)}, {{"axis", c.attrs().integer("axis")}}));
  return {};
}

// Zeros of the shape of operand 0.
Result<Value*> zeros_like_data(VjpContext& c) {
  const Shape shape = TRY(known_shape(c.operand(0), "the input"));
  return c.b.full(shape, c.gradient()->type.dtype, 0);
}

Status gather_elements_vjp(VjpContext& c) {
  if (!c.wants(0)) return {};
  c.set(0, c.b.op("ScatterElements", {TRY(zeros_like_data(c)), c.operand(1), c.gradient()},
                  {{"axis", c.attrs().integer("axis")}, {"reduction", std::string("add")}}));
  return {};
}

// The tuples of `indices` with the coordinates of the leading `batch` axes before them.
Result<Value*> with_batch_coordinates(VjpContext& c, Value* indices, int64_t batch) {
  if (batch == 0) return indices;
  const Shape shape = TRY(known_shape(indices, "indices"));
  std::vector<Value*> columns;
  for (int64_t i = 0; i < batch; ++i) {
    Value* extent = c.b.squeeze(c.b.dims({shape[static_cast<size_t>(i)]}), {0});
    Value* zero = c.b.constant(Tensor::scalar<int64_t>(0));
    Value* coordinates = c.b.op("Range", {zero, extent, c.b.constant(Tensor::scalar<int64_t>(1))});
    Shape aligned(shape.size(), Dim(1)), column = shape;
    aligned[static_cast<size_t>(i)] = shape[static_cast<size_t>(i)];
    column.back() = Dim(1);
    columns.push_back(c.b.expand(c.b.reshape(coordinates, aligned), column));
  }
  columns.push_back(indices);
  return c.b.concat(std::move(columns), -1);
}

Status gather_nd_vjp(VjpContext& c) {
  if (!c.wants(0)) return {};
  Value* indices = TRY(with_batch_coordinates(c, c.operand(1), c.attrs().integer("batch_dims")));
  c.set(0, c.b.op("ScatterND", {TRY(zeros_like_data(c)), indices, c.gradient()}, {{"reduction", std::string("add")}}));
  return {};
}

Status infer_gather_elements(InferContext& c) {
  TRY(expect_tensors(c, 2));
  TRY(expect_index(c, 1, "indices"));
  TRY(check_element_indices(c, c.attrs().integer("axis")));
  std::optional<Shape> shape;
  if (c.shape(1)) shape = *c.shape(1);
  c.set_tensor(0, c.dtype(0), std::move(shape));
  return {};
}

Status eval_gather_elements(EvalContext& c) {
  const Tensor &x = c.tensor(0), &indices = c.tensor(1);
  Tensor y = TRY(allocate_inferred(c));
  if (y.elements() > 0) {
    const int64_t axis = TRY(normalize_axis(c.attrs().integer("axis"), x.rank()));
    const ElementMover mover(x, y);
    TRY(for_each_indexed(x.extents(), indices, axis, [&](int64_t i, int64_t at) { mover.copy(i, at); }));
  }
  c.set(std::move(y));
  return {};
}

Status infer_gather_nd(InferContext& c) {
  TRY(expect_tensors(c, 2));
  TRY(expect_dtype(c, 1, DType::kI64, "indices"));
  const Shape *x = c.shape(0), *indices = c.shape(1);
  if (!x || !indices) {
    c.set_tensor(0, c.dtype(0), std::nullopt);
    return {};
  }
  const int64_t batch = c.attrs().integer("batch_dims");
  const auto least = static_cast<int64_t>(std::min(x->size(), indices->size()));
  if (least < 1 || batch < 0 || batch >= least) {
    return invalid_model(fmt::format("batch_dims {} does not fit ranks {} and {}", batch, x->size(), indices->size()));
  }
  for (int64_t i = 0; i < batch; ++i) TRY(same_dim((*x)[static_cast<size_t>(i)], (*indices)[static_cast<size_t>(i)], i));
  if (!indices->back().is_constant()) {
    c.set_tensor(0, c.dtype(0), std::nullopt);
    return {};
  }
  const int64_t depth = indices->back().constant();
  if (depth > static_cast<int64_t>(x->size()) - batch) {
    return invalid_model(fmt::format("indices name {} axes, but the input has {} after batch_dims {}", depth,
                                     static_cast<int64_t>(x->size()) - batch, batch));
  }
  Shape shape(indices->begin(), indices->end() - 1);
  shape.insert(shape.end(), x->begin() + batch + depth, x->end());
  c.set_tensor(0, c.dtype(0), std::move(shape));
  return {};
}

Status eval_gather_nd(EvalContext& c) {
  const Tensor &x = c.tensor(0), &indices = c.tensor(1);
  Tensor y = TRY(allocate_inferred(c));
  if (y.elements() > 0) {
    const auto batch = static_cast<size_t>(c.attrs().integer("batch_dims"));
    const TupleIndex tuple(x.extents(), batch, static_cast<size_t>(indices.extents().back()));
    const int64_t rows = y.elements() / tuple.block;
    const int64_t rows_per_batch = std::max<int64_t>(1, rows / tuple.batches);
    const ElementMover mover(x, y);
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t at = TRY(tuple.locate(indices.data<int64_t>().data(), row));
      mover.copy(row * tuple.block, (row / rows_per_batch) * tuple.batch_elements + at, tuple.block);
    }
  }
  c.set(std::move(y));
  return {};
}

}  // namespace

constinit const StructuredOp ops::Gather = {
    .inputs = {2, 2}, .outputs = {1, 1}, .attrs = kAxisAttrs, .infer = infer_gather, .eval = eval_gather};
constinit const GradientRule gradients::Gather = {.vjp = gather_vjp};
constinit const StructuredOp ops::GatherGradient = {.inputs = {3, 3}, .outputs = {1, 1}, .attrs = kAxisAttrs,
    .infer = infer_gather_gradient, .eval = eval_gather_gradient};
constinit const GradientRule gradients::GatherGradient = {.vjp = gather_gradient_vjp};
constinit const StructuredOp ops::GatherElements = {.inputs = {2, 2}, .outputs = {1, 1}, .attrs = kAxisAttrs,
    .infer = infer_gather_elements, .eval = eval_gather_elements};
constinit const GradientRule gradients::GatherElements = {.vjp = gather_elements_vjp};
constinit const StructuredOp ops::GatherND = {
    .inputs = {2, 2}, .outputs = {1, 1}, .attrs = kBatchAttrs, .infer = infer_gather_nd, .eval = eval_gather_nd};
constinit const GradientRule gradients::GatherND = {.vjp = gather_nd_vjp};

}  // namespace gannet
