// Ops whose result depends on which elements are set: Compress, NonZero, OneHot.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ir/ops/element_copy.h"
#include "ir/ops/indices.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"

namespace gannet {
namespace {

constexpr AttrDef kCompressAttrs[] = {optional_attr("axis", AttrKind::kInt)};
constexpr AttrDef kOneHotAttrs[] = {int_attr("axis", -1)};

Status infer_compress(InferContext& c) {
  TRY(expect_tensors(c, 2));
  TRY(expect_dtype(c, 1, DType::kBool, "condition"));
  TRY(expect_list(c, 1, "condition"));
  std::optional<Shape> shape;
  const Dim kept = c.fresh("compressed");
  if (!c.attrs().has("axis")) {
    shape = Shape{kept};
  } else if (const Shape* x = c.shape(0)) {
    const int64_t axis = TRY(normalize_axis(c.attrs().integer("axis"), static_cast<int64_t>(x->size())));
    shape = *x;
    (*shape)[static_cast<size_t>(axis)] = kept;
  }
  c.set_tensor(0, c.dtype(0), std::move(shape));
  return {};
}

Status eval_compress(EvalContext& c) {
  const bool flat = !c.attrs().has("axis");
  const Tensor x = flat ? c.tensor(0).reshaped({c.tensor(0).elements()}) : c.tensor(0);
  const int64_t axis = flat ? 0 : TRY(normalize_axis(c.attrs().integer("axis"), x.rank()));
  const std::span<const bool> condition = c.tensor(1).data<bool>();
  std::vector<int64_t> kept;
  for (size_t i = 0; i < condition.size(); ++i) {
    if (!condition[i]) continue;
    kept.push_back(static_cast<int64_t>(i));
    if (kept.back() >= x.extent(axis)) {
      return invalid_input(fmt::format("condition keeps element {} of an axis of extent {}", i, x.extent(axis)));
    }
  }
  std::vector<int64_t> extents = x.extents();
  extents[static_cast<size_t>(axis)] = static_cast<int64_t>(kept.size());
  Tensor y = TRY(c.allocate(x.dtype(), extents));
  if (y.elements() > 0) {
    const AxisSplit split(x.extents(), axis);
    const ElementMover mover(x, y);
    int64_t written = 0;
    for (int64_t outer = 0; outer < split.outer; ++outer) {
      for (int64_t i : kept) {
        mover.copy(written, (outer * split.extent + i) * split.inner, split.inner);
        written += split.inner;
      }
    }
  }
  c.set(std::move(y));
  return {};
}

Status compress_vjp(VjpContext& c) {
  if (!c.wants(0)) return {};
  const Shape shape = TRY(known_shape(c.operand(0), "the input"));
  const bool flat = !c.attrs().has("axis");
  Value* kept = c.b.squeeze(c.b.op("NonZero", {c.operand(1)}), {0});
  Value* extents = flat ? c.b.dims({element_count(shape)}) : c.b.dims(shape);
  Value* dx = c.b.op("GatherGradient", {c.gradient(), kept, extents}, {{"axis", flat ? int64_t{0} : c.attrs().integer("axis")}});
  c.set(0, flat ? c.b.reshape(dx, shape) : dx);
  return {};
}

Status infer_non_zero(InferContext& c) {
  TRY(expect_tensors(c, 1));
  const Dim rank = c.shape(0) ? Dim(static_cast<int64_t>(c.shape(0)->size())) : c.fresh("rank");
  c.set_tensor(0, DType::kI64, Shape{rank, c.fresh("nonzero")});
  return {};
}

// Flat positions of elements other than zero, false and the empty string.
std::vector<int64_t> positions_of_nonzero(const Tensor& x) {
  std::vector<int64_t> positions;
  visit_dtype(x.dtype(), [&]<class T>(Tag<T>) {
    const std::span<const T> values = x.data<T>();
    for (size_t i = 0; i < values.size(); ++i) {
      bool set;
      if constexpr (std::is_same_v<T, std::string>) set = !values[i].empty();
      else if constexpr (std::is_same_v<T, std::complex<float>> || std::is_same_v<T, std::complex<double>>) set = values[i] != T();
      else if constexpr (std::is_arithmetic_v<T>) set = values[i] != T();
      else set = static_cast<float>(values[i]) != 0;
      if (set) positions.push_back(static_cast<int64_t>(i));
    }
  });
  return positions;
}

Status eval_non_zero(EvalContext& c) {
  const Tensor& x = c.tensor(0);
  const std::vector<int64_t> positions = positions_of_nonzero(x);
  const auto count = static_cast<int64_t>(positions.size());
  Tensor y = TRY(c.allocate(DType::kI64, {x.rank(), count}));
  const std::span<int64_t> coordinates = y.mutable_data<int64_t>();
  const std::vector<int64_t> strides = row_major_strides(x.extents());
  for (size_t axis = 0; axis < strides.size(); ++axis) {
    for (size_t i = 0; i < positions.size(); ++i) {
      coordinates[axis * positions.size() + i] = positions[i] / strides[axis] % x.extents()[axis];
    }
  }
  c.set(std::move(y));
  return {};
}

bool is_real_number(DType dtype) { return is_int(dtype) || is_float(dtype); }

// The depth of a OneHot as an integer.
Result<int64_t> depth_of(const Tensor& depth) {
  if (depth.elements() != 1) return invalid_model(fmt::format("depth must have one element, got {}", type_string(depth)));
  const double value = depth.double_at(0);
  if (!(value >= 0 && value < 0x1p62)) return invalid_model(fmt::format("depth {} is not a size", value));
  return static_cast<int64_t>(value);
}

// Values are off and on; which of them an element is does not follow from the indices smoothly.
Status one_hot_vjp(VjpContext& c) {
  if (!c.wants(2)) return {};
  Value* dy = c.gradient();
  if (!dy->type.shape) return unsupported("the gradient needs the rank of the indices");
  std::vector<int64_t> all(dy->type.shape->size());
  std::iota(all.begin(), all.end(), 0);
  Value* bits = c.b.cast(c.b.constant(Tensor::from<float>({2}, {0, 1})), dy->type.dtype);
  Value* hits = c.b.op("OneHot", {c.operand(0), c.operand(1), bits}, c.attrs());
  Value* on = c.b.reduce_sum(c.b.mul(dy, hits), all, false);
  Value* off = c.b.sub(c.b.reduce_sum(dy, all, false), on);
  c.set(2, c.b.concat({c.b.unsqueeze(off, {0}), c.b.unsqueeze(on, {0})}, 0));
  return {};
}

Status infer_one_hot(InferContext& c) {
  TRY(expect_tensors(c, 3));
  for (size_t i = 0; i < 2; ++i) {
    if (c.dtype(i) != DType::kUndefined && !is_real_number(c.dtype(i))) {
      return invalid_model(fmt::format("input {} must be numbers, got {}", i, to_string(c.type(i))));
    }
  }
  TRY(expect_single(c, 1, "depth"));
  TRY(expect_list(c, 2, "values"));
  const std::optional<int64_t> values = list_length(c, 2);
  if (values && *values != 2) return invalid_model(fmt::format("values must be off and on, got {} elements", *values));
  Dim depth;
  const std::optional<std::vector<Dim>> contents = short_contents(c, 1);
  if (c.constant(1)) depth = TRY(depth_of(*c.constant(1)));
  else if (contents && contents->size() == 1) depth = contents->front();
  else depth = c.fresh("depth");
  std::optional<Shape> shape;
  if (const Shape* x = c.shape(0)) {
    const int64_t axis = TRY(normalize_axis(c.attrs().integer("axis"), static_cast<int64_t>(x->size()) + 1));
    shape = *x;
    shape->insert(shape->begin() + axis, depth);
  }
  c.set_tensor(0, c.dtype(2), std::move(shape));
  return {};
}

Status eval_one_hot(EvalContext& c) {
  const Tensor &indices = c.tensor(0), &values = c.tensor(2);
  Tensor y = TRY(allocate_inferred(c));
  if (y.elements() > 0) {
    const AxisSplit split(y.extents(), TRY(normalize_axis(c.attrs().integer("axis"), y.rank())));
    fill_with(y, values);
    const ElementMover mover(values, y);
    for (int64_t lane = 0; lane < indices.elements(); ++lane) {
      const double given = std::trunc(indices.double_at(lane));
      if (!(given >= static_cast<double>(-split.extent) && given < static_cast<double>(split.extent))) continue;
      const int64_t index = static_cast<int64_t>(given) + (given < 0 ? split.extent : 0);
      mover.copy((lane / split.inner * split.extent + index) * split.inner + lane % split.inner, 1);
    }
  }
  c.set(std::move(y));
  return {};
}

}  // namespace

constinit const StructuredOp ops::Compress = {
    .inputs = {2, 2}, .outputs = {1, 1}, .attrs = kCompressAttrs, .infer = infer_compress, .eval = eval_compress};
constinit const GradientRule gradients::Compress = {.vjp = compress_vjp};
constinit const StructuredOp ops::NonZero = {
    .inputs = {1, 1}, .outputs = {1, 1}, .attrs = {}, .infer = infer_non_zero, .eval = eval_non_zero, .no_gradient = "positions are integers"};
constinit const StructuredOp ops::OneHot = {
    .inputs = {3, 3}, .outputs = {1, 1}, .attrs = kOneHotAttrs, .infer = infer_one_hot, .eval = eval_one_hot};
constinit const GradientRule gradients::OneHot = {.vjp = one_hot_vjp};

}  // namespace gannet
