#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "ir/ops/float_compute.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/flops.h"
#include "ir/ops/ops.h"
#include "ir/ops/reduction_gradients.h"
#include "ir/ops/reduction_sweep.h"

namespace gannet {
namespace {

constexpr AttrDef kReduceAttrs[] = {int_attr("keepdims", 1), int_attr("noop_with_empty_axes", 0)};

bool takes_32_or_64_bits(DType t) {
  return is_float(t) || t == DType::kI32 || t == DType::kI64 || t == DType::kU32 || t == DType::kU64;
}

Shape reduced_shape(const Shape& shape, const std::vector<bool>& reduced, bool keep_dims) {
  Shape result;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (!reduced[i])
      result.push_back(shape[i]);
    else if (keep_dims)
      result.push_back(1);
  }
  return result;
}

// The result's shape while the axes are not known; nothing where not even the rank follows.
std::optional<Shape> shape_with_unknown_axes(InferContext& c, bool keep_dims) {
  const Shape* shape = c.shape(0);
  if (!shape) return std::nullopt;
  int64_t rank = static_cast<int64_t>(shape->size());
  const Shape* axes = c.shape(1);
  if (!keep_dims) {
    if (!axes || axes->size() != 1 || !(*axes)[0].is_constant() || (*axes)[0].is_constant(0))
      return std::nullopt;
    rank -= (*axes)[0].constant();
    if (rank < 0) return std::nullopt;
  }
  Shape result;
  for (int64_t i = 0; i < rank; ++i) result.push_back(c.fresh("reduced"));
  return result;
}

// Axes of the node where they are known: absent ones are an empty list.
Result<std::optional<std::vector<int64_t>>> known_axes(const InferContext& c) {
  if (!c.has(1)) return std::optional(std::vector<int64_t>{});
  TRY(expect_dtype(c, 1, DType::kI64, "axes"));
  TRY(expect_list(c, 1, "axes"));
  return c.ints(1);
}

Status infer_reduce(InferContext& c, bool (*accepts)(DType)) {
  TRY(expect_tensors(c, 1));
  DType dtype = c.dtype(0);
  if (dtype != DType::kUndefined && !accepts(dtype)) {
    return invalid_model(fmt::format("input 0 (data) cannot be {}", name_of(dtype)));
  }
  bool keep_dims = c.attrs().integer("keepdims") != 0;
  auto axes = TRY(known_axes(c));
  if (!axes) {
    c.set_tensor(0, dtype, shape_with_unknown_axes(c, keep_dims));
    return {};
  }
  bool noop = c.attrs().integer("noop_with_empty_axes") != 0;
  if (!c.shape(0)) {
    c.set_tensor(0, dtype, axes->empty() && !noop && !keep_dims ? std::optional(Shape{}) : std::nullopt);
    return {};
  }
  const Shape& shape = *c.shape(0);
  auto reduced = TRY(reduced_dimensions(*axes, static_cast<int64_t>(shape.size()), noop));
  c.set_tensor(0, dtype, reduced_shape(shape, reduced, keep_dims));
  return {};
}

Status infer_numbers(InferContext& c) { return infer_reduce(c, takes_32_or_64_bits); }

Status infer_ordered(InferContext& c) {
  return infer_reduce(c, [](DType t) {
    return takes_32_or_64_bits(t) || t == DType::kI8 || t == DType::kU8 || t == DType::kBool;
  });
}

// Infers a reduction of dimensions, such as the product of a shape, to dimensions.
template <class Fold>
Status infer_with_contents(InferContext& c, Status (*infer_types)(InferContext&), Fold fold) {
  TRY(infer_types(c));
  const Shape* shape = c.shape(0);
  auto axes = TRY(known_axes(c));
  auto contents = c.contents(0);
  if (!shape || !axes || !contents || !is_int(c.dtype(0))) return {};
  bool noop = axes->empty() && c.attrs().integer("noop_with_empty_axes") != 0;
  if (shape->empty() || noop) {
    c.set_contents(0, *contents);
  } else if (shape->size() == 1) {
    std::optional<Dim> total = fold(*contents);
    if (total) c.set_contents(0, {*total});
  }
  return {};
}

Status infer_sum(InferContext& c) {
  return infer_with_contents(c, infer_numbers, [](const std::vector<Dim>& dims) {
    return std::optional(std::accumulate(dims.begin(), dims.end(), Dim(0)));
  });
}

Status infer_prod(InferContext& c) {
  return infer_with_contents(c, infer_numbers, [](const std::vector<Dim>& dims) {
    return std::optional(
        std::accumulate(dims.begin(), dims.end(), Dim(1), [](const Dim& a, const Dim& b) { return a * b; }));
  });
}

template <bool largest>
Status infer_extremum(InferContext& c) {
  return infer_with_contents(c, infer_ordered, [](const std::vector<Dim>& dims) -> std::optional<Dim> {
    if (dims.empty()) return std::nullopt;
    return std::accumulate(dims.begin() + 1, dims.end(), dims[0],
                           [](const Dim& a, const Dim& b) { return largest ? max(a, b) : min(a, b); });
  });
}

// Integers are summed in 64 bits and wrap; sums of floats are carried in f64.
template <class T>
using SumOf = std::conditional_t<std::is_floating_point_v<T>, double, uint64_t>;

struct SumStep {
  template <class A, class T>
  static A step(A a, T x) {
    return a + static_cast<A>(x);
  }
};
struct ProdStep {
  template <class A, class T>
  static A step(A a, T x) {
    return a * static_cast<A>(x);
  }
};
struct AbsStep {
  template <class A, class T>
  static A step(A a, T x) {
    return x < T(0) ? a - static_cast<A>(x) : a + static_cast<A>(x);
  }
};
struct SquareStep {
  template <class A, class T>
  static A step(A a, T x) {
    return a + static_cast<A>(x) * static_cast<A>(x);
  }
};
struct MaxStep {
  template <class T>
  static T step(T a, T x) {
    return x > a || x != x ? x : a;
  }
};
struct MinStep {
  template <class T>
  static T step(T a, T x) {
    return x < a || x != x ? x : a;
  }
};

// Folds `data` into one accumulator an output, each starting as `identity`.
template <class Step, class A, class T>
void fold(const ReductionSweep& sweep, std::span<const T> data, std::span<A> totals, A identity) {
  std::fill(totals.begin(), totals.end(), identity);
  sweep.for_each_run([&](int64_t output, int64_t input, int64_t length, bool kept) {
    const T* x = data.data() + input;
    A* total = totals.data() + output;
    if (kept) {
      for (int64_t i = 0; i < length; ++i) total[i] = Step::step(total[i], x[i]);
      return;
    }
    A sum = *total;
    for (int64_t i = 0; i < length; ++i) sum = Step::step(sum, x[i]);
    *total = sum;
  });
}

// Operand 0 widened, how it is swept, and where the result goes.
struct Reduction {
  Tensor data;
  ReductionSweep sweep;
  Tensor result;  // of the dtype of `data`
};

Result<Reduction> begin_reduction(EvalContext& c) {
  const Tensor& x = c.tensor(0);
  DType dtype = is_float(x.dtype()) ? compute_dtype(x.dtype()) : x.dtype();
  std::vector<int64_t> axes = c.has(1) ? c.tensor(1).ints() : std::vector<int64_t>{};
  auto reduced = TRY(reduced_dimensions(axes, x.rank(), c.attrs().integer("noop_with_empty_axes") != 0));
  Tensor result = TRY(c.allocate(dtype, static_extents(*c.output_type(0).shape)));
  return Reduction{TRY(as_dtype(x, dtype)), ReductionSweep(x.extents(), reduced), std::move(result)};
}

Status end_reduction(EvalContext& c, Reduction& r) {
  c.set(TRY(as_dtype(r.result, c.tensor(0).dtype())));
  return {};
}

// Calls visitor with the storage type of a reduction of numbers.
template <class Visitor>
Status visit_number(DType dtype, Visitor visitor) {
  switch (dtype) {
    case DType::kF32:
      return visitor(Tag<float>{});
    case DType::kF64:
      return visitor(Tag<double>{});
    case DType::kI32:
      return visitor(Tag<int32_t>{});
    case DType::kI64:
      return visitor(Tag<int64_t>{});
    case DType::kU32:
      return visitor(Tag<uint32_t>{});
    case DType::kU64:
      return visitor(Tag<uint64_t>{});
    default:
      CHECK(false, "reduction of {}", name_of(dtype));
  }
  __builtin_unreachable();
}

// A reduction to a sum (or product) that stays within the element type: `finish` gives an element from a
// total.
template <class Step, class Finish>
Status eval_exact(EvalContext& c, int identity, Finish finish) {
  Reduction r = TRY(begin_reduction(c));
  Status folded = visit_number(r.data.dtype(), [&]<class T>(Tag<T>) -> Status {
    Tensor totals = TRY(c.allocate(dtype_of<SumOf<T>>(), r.result.extents()));
    auto sums = totals.template mutable_data<SumOf<T>>();
    fold<Step>(r.sweep, r.data.template data<T>(), sums, static_cast<SumOf<T>>(identity));
    auto y = r.result.template mutable_data<T>();
    for (size_t i = 0; i < y.size(); ++i) y[i] = finish(static_cast<T>(sums[i]), sums[i], r.sweep.count());
    return {};
  });
  TRY(folded);
  return end_reduction(c, r);
}

// A reduction whose total is carried in f64 for every element type: `finish` maps the total.
template <class Step, class Finish>
Status eval_real(EvalContext& c, Finish finish) {
  Reduction r = TRY(begin_reduction(c));
  Status folded = visit_number(r.data.dtype(), [&]<class T>(Tag<T>) -> Status {
    Tensor totals = TRY(c.allocate(DType::kF64, r.result.extents()));
    auto sums = totals.mutable_data<double>();
    fold<Step>(r.sweep, r.data.template data<T>(), sums, 0.0);
    auto y = r.result.template mutable_data<T>();
    for (size_t i = 0; i < y.size(); ++i) y[i] = saturating_cast<T>(finish(sums[i]));
    return {};
  });
  TRY(folded);
  return end_reduction(c, r);
}

constexpr auto kTotal = [](auto value, auto, int64_t) { return value; };

// Integers divide as integers do, towards zero; the mean of no integers is 0.
constexpr auto kAverage = [](auto value, auto total, int64_t count) -> decltype(value) {
  using T = decltype(value);
  if constexpr (std::is_floating_point_v<T>)
    return static_cast<T>(total / static_cast<double>(count));
  else if constexpr (std::is_signed_v<T>)
    return count ? static_cast<T>(static_cast<int64_t>(total) / count) : T(0);
  else
    return count ? static_cast<T>(total / static_cast<uint64_t>(count)) : T(0);
};

Status eval_sum(EvalContext& c) { return eval_exact<SumStep>(c, 0, kTotal); }
Status eval_mean(EvalContext& c) { return eval_exact<SumStep>(c, 0, kAverage); }
Status eval_prod(EvalContext& c) { return eval_exact<ProdStep>(c, 1, kTotal); }
Status eval_l1(EvalContext& c) { return eval_exact<AbsStep>(c, 0, kTotal); }
Status eval_sum_square(EvalContext& c) { return eval_exact<SquareStep>(c, 0, kTotal); }
Status eval_l2(EvalContext& c) {
  return eval_real<SquareStep>(c, [](double sum) { return std::sqrt(sum); });
}
Status eval_log_sum(EvalContext& c) {
  return eval_real<SumStep>(c, [](double sum) { return std::log(sum); });
}

template <class T>
constexpr T least() {
  return std::is_floating_point_v<T> ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::lowest();
}
template <class T>
constexpr T greatest() {
  return std::is_floating_point_v<T> ? std::numeric_limits<T>::infinity() : std::numeric_limits<T>::max();
}

template <bool largest>
Status eval_extremum(EvalContext& c) {
  Reduction r = TRY(begin_reduction(c));
  auto run = [&]<class T>(Tag<T>) -> Status {
    auto y = r.result.template mutable_data<T>();
    if constexpr (largest)
      fold<MaxStep>(r.sweep, r.data.template data<T>(), y, least<T>());
    else
      fold<MinStep>(r.sweep, r.data.template data<T>(), y, greatest<T>());
    return {};
  };
  switch (r.data.dtype()) {
    case DType::kI8:
      TRY(run(Tag<int8_t>{}));
      break;
    case DType::kU8:
      TRY(run(Tag<uint8_t>{}));
      break;
    case DType::kBool:
      TRY(run(Tag<bool>{}));
      break;
    default:
      TRY(visit_number(r.data.dtype(), run));
  }
  return end_reduction(c, r);
}

// The largest element is subtracted first, so that nothing overflows: log(sum(exp(x - m))) + m.
Status eval_log_sum_exp(EvalContext& c) {
  Reduction r = TRY(begin_reduction(c));
  Status folded = visit_number(r.data.dtype(), [&]<class T>(Tag<T>) -> Status {
    Tensor maxima = TRY(c.allocate(DType::kF64, r.result.extents()));
    Tensor totals = TRY(c.allocate(DType::kF64, r.result.extents()));
    auto x = r.data.template data<T>();
    auto m = maxima.mutable_data<double>();
    auto sums = totals.mutable_data<double>();
    std::fill(m.begin(), m.end(), least<double>());
    std::fill(sums.begin(), sums.end(), 0.0);
    auto for_each_element = [&](auto visit) {
      r.sweep.for_each_run([&](int64_t output, int64_t input, int64_t length, bool kept) {
        for (int64_t i = 0; i < length; ++i) {
          visit(static_cast<size_t>(kept ? output + i : output),
                static_cast<double>(x[static_cast<size_t>(input + i)]));
        }
      });
    };
    for_each_element([&](size_t output, double value) { m[output] = MaxStep::step(m[output], value); });
    for (double& value : m) value = std::isfinite(value) ? value : 0.0;
    for_each_element([&](size_t output, double value) { sums[output] += std::exp(value - m[output]); });
    auto y = r.result.template mutable_data<T>();
    for (size_t i = 0; i < y.size(); ++i) y[i] = saturating_cast<T>(std::log(sums[i]) + m[i]);
    return {};
  });
  TRY(folded);
  return end_reduction(c, r);
}

constexpr StructuredOp reduce_op(InferFn infer, EvalFn eval) {
  return {
      .inputs = {1, 2}, .outputs = {1, 1}, .attrs = kReduceAttrs, .infer = infer, .eval = eval, .flops = one_per_operand_element};
}

}  // namespace

constinit const StructuredOp ops::ReduceSum = reduce_op(infer_sum, eval_sum);
constinit const GradientRule gradients::ReduceSum = {.vjp = reduce_sum_vjp};
constinit const StructuredOp ops::ReduceMean = reduce_op(infer_numbers, eval_mean);
constinit const GradientRule gradients::ReduceMean = {.vjp = reduce_mean_vjp};
constinit const StructuredOp ops::ReduceMax =
    reduce_op(infer_extremum<true>, eval_extremum<true>);
constinit const GradientRule gradients::ReduceMax = {.vjp = reduce_extremum_vjp};
constinit const StructuredOp ops::ReduceMin =
    reduce_op(infer_extremum<false>, eval_extremum<false>);
constinit const GradientRule gradients::ReduceMin = {.vjp = reduce_extremum_vjp};
constinit const StructuredOp ops::ReduceProd = reduce_op(infer_prod, eval_prod);
constinit const GradientRule gradients::ReduceProd = {.vjp = reduce_prod_vjp};
constinit const StructuredOp ops::ReduceL1 = reduce_op(infer_numbers, eval_l1);
constinit const GradientRule gradients::ReduceL1 = {.vjp = reduce_l1_vjp};
constinit const StructuredOp ops::ReduceL2 = reduce_op(infer_numbers, eval_l2);
constinit const GradientRule gradients::ReduceL2 = {.vjp = reduce_l2_vjp};
constinit const StructuredOp ops::ReduceLogSum = reduce_op(infer_numbers, eval_log_sum);
constinit const GradientRule gradients::ReduceLogSum = {.vjp = reduce_log_sum_vjp};
constinit const StructuredOp ops::ReduceLogSumExp =
    reduce_op(infer_numbers, eval_log_sum_exp);
constinit const GradientRule gradients::ReduceLogSumExp = {.vjp = reduce_log_sum_exp_vjp};
constinit const StructuredOp ops::ReduceSumSquare =
    reduce_op(infer_numbers, eval_sum_square);
constinit const GradientRule gradients::ReduceSumSquare = {.vjp = reduce_sum_square_vjp};

}  // namespace gannet
