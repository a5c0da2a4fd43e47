#include <type_traits>

#include "ir/ops/float_compute.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"

namespace gannet {
namespace {

constexpr AttrDef kCumulativeAttrs[] = {int_attr("exclusive", 0), int_attr("reverse", 0)};

constexpr AttrDef kRecurrenceAttrs[] = {int_attr("reverse", 0)};

Status infer_cumulative(InferContext& c) {
  TRY(expect_tensors(c, 2));
  DType t = c.dtype(0);
  bool number = is_float(t) || t == DType::kI32 || t == DType::kI64 || t == DType::kU32 || t == DType::kU64;
  if (!number && t != DType::kUndefined)
    return invalid_model(fmt::format("input 0 (x) cannot be {}", name_of(t)));
  TRY(expect_index(c, 1, "axis"));
  TRY(expect_single(c, 1, "axis"));
  auto axis = c.ints(1);
  if (axis && axis->size() == 1 && c.shape(0)) TRY(normalize_axis((*axis)[0], c.type(0).rank()));
  c.set(0, c.type(0));
  return {};
}

// Steps through each line along the axis; y holds the total up to each element, without it when exclusive.
template <class A, class T, class Step>
void accumulate(std::span<const T> x, std::span<T> y, const AxisView& view, const Attributes& attrs,
                A identity, Step step) {
  bool exclusive = attrs.integer("exclusive") != 0, reverse = attrs.integer("reverse") != 0;
  int64_t stride = reverse ? -view.inner : view.inner;
  for (int64_t o = 0; o < view.outer; ++o) {
    for (int64_t i = 0; i < view.inner; ++i) {
      int64_t at = (o * view.length + (reverse ? view.length - 1 : 0)) * view.inner + i;
      A total = identity;
      for (int64_t k = 0; k < view.length; ++k, at += stride) {
        A next = step(total, static_cast<A>(x[static_cast<size_t>(at)]));
        y[static_cast<size_t>(at)] = static_cast<T>(exclusive ? total : next);
        total = next;
      }
    }
  }
}

template <bool product>
Status eval_cumulative(EvalContext& c) {
  const Tensor& operand = c.tensor(0);
  AxisView view = view_axis(operand.extents(), TRY(normalize_axis(c.tensor(1).int_at(0), operand.rank())));
  Tensor x = is_float(operand.dtype()) ? TRY(widened(operand)) : operand;
  Tensor y = TRY(c.allocate(x.dtype(), x.extents()));
  auto run = [&]<class T>(Tag<T>) {
    using A = std::conditional_t<std::is_floating_point_v<T>, double, uint64_t>;
    auto step = [](A a, A b) { return product ? a * b : a + b; };
    accumulate<A>(x.data<T>(), y.mutable_data<T>(), view, c.attrs(), A(product ? 1 : 0), step);
  };
  if (x.elements() > 0) {
    switch (x.dtype()) {
      case DType::kF32:
        run(Tag<float>{});
        break;
      case DType::kF64:
        run(Tag<double>{});
        break;
      case DType::kI32:
        run(Tag<int32_t>{});
        break;
      case DType::kI64:
        run(Tag<int64_t>{});
        break;
      case DType::kU32:
        run(Tag<uint32_t>{});
        break;
      case DType::kU64:
        run(Tag<uint64_t>{});
        break;
      default:
        CHECK(false, "cumulative total of {}", name_of(x.dtype()));
    }
  }
  c.set(TRY(as_dtype(y, operand.dtype())));
  return {};
}

// Each element counts in the totals on its other side: the same sum, in the other direction.
Status cumsum_vjp(VjpContext& c) {
  int64_t reverse = c.attrs().integer("reverse") != 0 ? 0 : 1;
  c.set(0, c.b.op("CumSum", {c.gradient(), c.operand(1)},
                  {{"exclusive", c.attrs().integer("exclusive")}, {"reverse", reverse}}));
  return c.b.status();
}

// y[i] = x[i] * y[i - 1] + b[i] along the axis, from the other end when reversed; 0 before the first.
Status infer_recurrence(InferContext& c) {
  TRY(expect_tensors(c, 3));
  TRY(expect_float(c, 0, "factors"));
  TRY(expect_same_dtype(c, 0, 1));
  TRY(expect_index(c, 2, "axis"));
  TRY(expect_single(c, 2, "axis"));
  std::optional<Shape> shape;
  if (c.shape(0) && c.shape(1)) shape = TRY(merge_shapes(*c.shape(0), *c.shape(1)));
  const auto axis = c.ints(2);
  if (axis && axis->size() == 1 && shape) TRY(normalize_axis((*axis)[0], static_cast<int64_t>(shape->size())));
  c.set_tensor(0, c.dtype(0), std::move(shape));
  return {};
}

Status eval_recurrence(EvalContext& c) {
  const DType dtype = c.tensor(0).dtype();
  const Tensor factors = TRY(widened(c.tensor(0))), summands = TRY(widened(c.tensor(1)));
  const AxisView view = view_axis(factors.extents(), TRY(normalize_axis(c.tensor(2).int_at(0), factors.rank())));
  const bool reverse = c.attrs().integer("reverse") != 0;
  Tensor y = TRY(c.allocate(factors.dtype(), factors.extents()));
  visit_compute(dtype, [&]<class T>(Tag<T>) {
    const T *a = factors.data<T>().data(), *b = summands.data<T>().data();
    T* out = y.mutable_data<T>().data();
    const int64_t stride = reverse ? -view.inner : view.inner;
    for (int64_t lane = 0; lane < view.outer * view.inner && view.length > 0; ++lane) {
      int64_t at = (lane / view.inner * view.length + (reverse ? view.length - 1 : 0)) * view.inner + lane % view.inner;
      double total = 0;
      for (int64_t k = 0; k < view.length; ++k, at += stride) {
        total = static_cast<double>(a[at]) * total + static_cast<double>(b[at]);
        out[at] = static_cast<T>(total);
      }
    }
  });
  c.set(TRY(as_dtype(y, dtype)));
  return {};
}

// `x` moved by one along the axis: element i is the old element i - 1, or i + 1 when `towards_first`.
Result<Value*> shifted(VjpContext& c, Value* x, Value* axis_operand, bool towards_first) {
  const std::optional<std::vector<int64_t>> axis = constant_ints(axis_operand);
  if (!axis || axis->size() != 1) return unsupported("the gradient needs the axis, which is not known");
  const int64_t by = towards_first ? -1 : 1;
  return c.b.op("Pad", {x, c.b.ints({by, -by}), nullptr, c.b.ints({(*axis)[0]})});
}

Value* recurrence(VjpContext& c, Value* factors, Value* summands, Value* axis, bool reverse) {
  return c.b.op("LinearRecurrence", {factors, summands, axis}, {{"reverse", int64_t{reverse}}});
}

// What reaches a total later counts as often as the factors between say.
Status recurrence_vjp(VjpContext& c) {
  const bool reverse = c.attrs().integer("reverse") != 0;
  Value *axis = c.operand(2), *next = TRY(shifted(c, c.operand(0), axis, !reverse));
  Value* summed = recurrence(c, next, c.gradient(), axis, !reverse);
  c.set(1, summed);
  c.set(0, c.b.mul(summed, TRY(shifted(c, c.output(), axis, reverse))));
  return c.b.status();
}

// dx[i] = (product of the elements before i) * s[i] with s[i] = dy[i] + x[i + 1] * s[i + 1]: no division, so zeros are
// no exception.
Status cumprod_vjp(VjpContext& c) {
  const bool exclusive = c.attrs().integer("exclusive") != 0, reverse = c.attrs().integer("reverse") != 0;
  Value *x = c.operand(0), *axis = c.operand(1), *dy = c.gradient();
  if (exclusive) dy = TRY(shifted(c, dy, axis, !reverse));
  Value* before = exclusive ? c.output() : c.b.op("CumProd", {x, axis}, {{"exclusive", int64_t{1}}, {"reverse", int64_t{reverse}}});
  Value* behind = recurrence(c, TRY(shifted(c, x, axis, !reverse)), dy, axis, !reverse);
  c.set(0, c.b.mul(before, behind));
  return c.b.status();
}

Status decompose_mean(DecomposeContext& c) {
  std::vector<Value*> operands;
  for (size_t i = 0; i < c.operand_count(); ++i) operands.push_back(c.operand(i));
  Value* count = c.b.number(static_cast<double>(operands.size()), operands[0]);
  c.set(0, c.b.div(c.b.op("Sum", std::move(operands)), count));
  return {};
}

}  // namespace

constinit const StructuredOp ops::CumSum = {.inputs = {2, 2},
                                            .outputs = {1, 1},
                                            .attrs = kCumulativeAttrs,
                                            .infer = infer_cumulative,
                                            .eval = eval_cumulative<false>};
constinit const GradientRule gradients::CumSum = {.vjp = cumsum_vjp};
constinit const StructuredOp ops::CumProd = {.inputs = {2, 2},
                                             .outputs = {1, 1},
                                             .attrs = kCumulativeAttrs,
                                             .infer = infer_cumulative,
                                             .eval = eval_cumulative<true>};
constinit const GradientRule gradients::CumProd = {.vjp = cumprod_vjp};
constinit const StructuredOp ops::LinearRecurrence = {.inputs = {3, 3},
                                                      .outputs = {1, 1},
                                                      .attrs = kRecurrenceAttrs,
                                                      .infer = infer_recurrence,
                                                      .eval = eval_recurrence};
constinit const GradientRule gradients::LinearRecurrence = {.vjp = recurrence_vjp};
constinit const StructuredOp ops::Mean = {
    .inputs = {1, kVariadic}, .outputs = {1, 1}, .attrs = {}, .decompose = decompose_mean};

}  // namespace gannet
