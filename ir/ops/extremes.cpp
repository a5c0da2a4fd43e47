// The largest and smallest along an axis: TopK, ArgMax, ArgMin. NaN counts as larger than every number for TopK; ArgMax
// and ArgMin give the first NaN, as numpy does. Equal elements keep their order.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "ir/ops/indices.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"

namespace gannet {
namespace {

constexpr AttrDef kTopKAttrs[] = {int_attr("axis", -1), int_attr("largest", 1), int_attr("sorted", 1)};
constexpr AttrDef kArgAttrs[] = {int_attr("axis", 0), int_attr("keepdims", 1), int_attr("select_last_index", 0)};

bool is_ordered(DType dtype) { return is_float(dtype) || (is_int(dtype) && element_bits(dtype) >= 8); }

Status expect_ordered(const InferContext& c) {
  if (c.dtype(0) == DType::kUndefined || is_ordered(c.dtype(0))) return {};
  return invalid_model(fmt::format("elements of {} have no order", to_string(c.type(0))));
}

// Elements as numbers that compare: the narrow floats as f32.
template <class T>
auto comparable(const T& value) {
  if constexpr (std::is_arithmetic_v<T>) return value;
  else return static_cast<float>(value);
}

Status infer_top_k(InferContext& c) {
  TRY(expect_tensors(c, 2));
  TRY(expect_ordered(c));
  TRY(expect_dtype(c, 1, DType::kI64, "K"));
  TRY(expect_single(c, 1, "K"));
  std::optional<Shape> shape;
  if (const Shape* x = c.shape(0)) {
    const int64_t axis = TRY(normalize_axis(c.attrs().integer("axis"), static_cast<int64_t>(x->size())));
    shape = *x;
    Dim& extent = (*shape)[static_cast<size_t>(axis)];
    const std::optional<std::vector<Dim>> k = short_contents(c, 1);
    if (k && k->size() == 1) {
      const Dim& wanted = k->front();
      if (wanted.is_constant() && (wanted.constant() < 0 || (extent.is_constant() && wanted.constant() > extent.constant()))) {
        return invalid_model(fmt::format("K {} is outside of [0, {}]", wanted.constant(), extent.to_string()));
      }
      extent = wanted;
    } else {
      extent = c.fresh("top");
    }
  }
  c.set_tensor(0, c.dtype(0), shape);
  c.set_tensor(1, DType::kI64, std::move(shape));
  return {};
}

// Orders indices by the elements they name, the wanted ones first.
template <class T>
struct ComesFirst {
  const T* values;  // of one lane
  int64_t stride;
  bool largest;
  bool operator()(int64_t i, int64_t j) const {
    const auto a = comparable(values[i * stride]), b = comparable(values[j * stride]);
    const bool a_nan = a != a, b_nan = b != b;
    if (a_nan != b_nan) return a_nan == largest;
    if (!a_nan && a != b) return largest ? a > b : a < b;
    return i < j;
  }
};

template <class T>
void top_k(const Tensor& x, int64_t axis, bool largest, int64_t k, Tensor& values, Tensor& indices) {
  const AxisSplit split(x.extents(), axis);
  const std::span<T> values_out = values.mutable_data<T>();
  const std::span<int64_t> indices_out = indices.mutable_data<int64_t>();
  std::vector<int64_t> order(static_cast<size_t>(split.extent));
  for (int64_t lane = 0; lane < split.outer * split.inner; ++lane) {
    const int64_t outer = lane / split.inner, inner = lane % split.inner;
    const T* from = x.data<T>().data() + outer * split.extent * split.inner + inner;
    std::iota(order.begin(), order.end(), 0);
    std::partial_sort(order.begin(), order.begin() + k, order.end(), ComesFirst<T>{from, split.inner, largest});
    for (int64_t i = 0; i < k; ++i) {
      const auto at = static_cast<size_t>((outer * k + i) * split.inner + inner);
      indices_out[at] = order[static_cast<size_t>(i)];
      values_out[at] = from[order[static_cast<size_t>(i)] * split.inner];
    }
  }
}

Status eval_top_k(EvalContext& c) {
  const Tensor& x = c.tensor(0);
  const int64_t axis = TRY(normalize_axis(c.attrs().integer("axis"), x.rank()));
  const std::vector<int64_t> extents = TRY(inferred_extents(c));
  Tensor values = TRY(c.allocate(x.dtype(), extents)), indices = TRY(c.allocate(DType::kI64, extents));
  if (values.elements() > 0) {
    visit_dtype(x.dtype(), [&]<class T>(Tag<T>) {
      if constexpr (is_float(dtype_of<T>()) || is_int(dtype_of<T>())) {
        top_k<T>(x, axis, c.attrs().integer("largest") != 0, extents[static_cast<size_t>(axis)], values, indices);
      }
    });
  }
  c.set(0, std::move(values));
  c.set(1, std::move(indices));
  return {};
}

// The rule reads where the elements stood.
Status top_k_for_gradient(DecomposeContext& c) {
  if (c.output_count() > 1) return {};
  c.set(0, c.b.op_n("TopK", {c.operand(0), c.operand(1)}, c.attrs(), 2)[0]);
  return {};
}

Status top_k_vjp(VjpContext& c) {
  const Shape shape = TRY(known_shape(c.operand(0), "the input"));
  Value* zeros = c.b.full(shape, c.gradient()->type.dtype, 0);
  c.set(0, c.b.op("ScatterElements", {zeros, c.output(1), c.gradient()},
                  {{"axis", c.attrs().integer("axis")}, {"reduction", std::string("add")}}));
  return {};
}

Status infer_arg(InferContext& c) {
  TRY(expect_tensors(c, 1));
  TRY(expect_ordered(c));
  std::optional<Shape> shape;
  if (const Shape* x = c.shape(0)) {
    const int64_t axis = TRY(normalize_axis(c.attrs().integer("axis"), static_cast<int64_t>(x->size())));
    shape = *x;
    if ((*x)[static_cast<size_t>(axis)].is_constant(0)) return invalid_model(fmt::format("axis {} has extent 0", axis));
    if (c.attrs().integer("keepdims")) (*shape)[static_cast<size_t>(axis)] = Dim(1);
    else shape->erase(shape->begin() + axis);
  }
  c.set_tensor(0, DType::kI64, std::move(shape));
  return {};
}

// The position of the best of `count` elements `stride` apart.
template <class T>
int64_t best_position(const T* values, int64_t count, int64_t stride, bool largest, bool last) {
  int64_t best = 0;
  for (int64_t i = 1; i < count; ++i) {
    const auto kept = comparable(values[best * stride]), next = comparable(values[i * stride]);
    if (kept != kept) return best;
    const bool better = largest ? next > kept : next < kept;
    if (better || (last && next == kept) || next != next) best = i;
  }
  return best;
}

Status eval_arg(EvalContext& c, bool largest) {
  const Tensor& x = c.tensor(0);
  const int64_t axis = TRY(normalize_axis(c.attrs().integer("axis"), x.rank()));
  const bool last = c.attrs().integer("select_last_index") != 0;
  Tensor y = TRY(allocate_inferred(c));
  if (y.elements() > 0) {
    const AxisSplit split(x.extents(), axis);
    const std::span<int64_t> positions = y.mutable_data<int64_t>();
    visit_dtype(x.dtype(), [&]<class T>(Tag<T>) {
      if constexpr (is_float(dtype_of<T>()) || is_int(dtype_of<T>())) {
        for (int64_t lane = 0; lane < y.elements(); ++lane) {
          const T* from = x.data<T>().data() + (lane / split.inner) * split.extent * split.inner + lane % split.inner;
          positions[static_cast<size_t>(lane)] = best_position(from, split.extent, split.inner, largest, last);
        }
      }
    });
  }
  c.set(std::move(y));
  return {};
}
Status eval_arg_max(EvalContext& c) { return eval_arg(c, true); }
Status eval_arg_min(EvalContext& c) { return eval_arg(c, false); }

}  // namespace

constinit const StructuredOp ops::TopK = {
    .inputs = {2, 2}, .outputs = {1, 2}, .attrs = kTopKAttrs, .infer = infer_top_k, .eval = eval_top_k};
constinit const GradientRule gradients::TopK = {.vjp = top_k_vjp, .for_gradient = top_k_for_gradient};
constinit const StructuredOp ops::ArgMax = {
    .inputs = {1, 1}, .outputs = {1, 1}, .attrs = kArgAttrs, .infer = infer_arg, .eval = eval_arg_max, .no_gradient = "positions are integers"};
constinit const StructuredOp ops::ArgMin = {
    .inputs = {1, 1}, .outputs = {1, 1}, .attrs = kArgAttrs, .infer = infer_arg, .eval = eval_arg_min, .no_gradient = "positions are integers"};

}  // namespace gannet
