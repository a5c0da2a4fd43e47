#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "ir/ops/float_compute.h"
#include "ir/ops/flops.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"

namespace gannet {
namespace {

constexpr AttrDef kLpAttrs[] = {int_attr("p", 2)};

Status infer_global_pool(InferContext& c) {
  TRY(expect_tensors(c, 1));
  TRY(expect_float(c, 0, "input"));
  const Shape* x = c.shape(0);
  if (x && x->size() < 2)
    return invalid_model(fmt::format("the input must have rank 2 or more, got {}", x->size()));
  std::optional<Shape> shape;
  if (x) {
    shape = Shape(x->size(), Dim(1));
    std::copy(x->begin(), x->begin() + 2, shape->begin());
  }
  c.set_tensor(0, c.dtype(0), std::move(shape));
  return {};
}

Status infer_global_lp_pool(InferContext& c) {
  if (c.attrs().integer("p") < 1)
    return invalid_model(fmt::format("p {} is less than 1", c.attrs().integer("p")));
  return infer_global_pool(c);
}

// Each batch and channel, `reduce`d over all its elements.
template <class Reduce>
Status eval_planes(EvalContext& c, Reduce reduce) {
  const DType dtype = c.tensor(0).dtype();
  const Tensor x = TRY(widened(c.tensor(0)));
  Tensor y = TRY(c.allocate(compute_dtype(dtype), static_extents(*c.output_type(0).shape)));
  visit_compute(dtype, [&]<class T>(Tag<T>) {
    std::span<T> out = y.mutable_data<T>();
    const size_t size = out.empty() ? 0 : x.data<T>().size() / out.size();
    for (size_t i = 0; i < out.size(); ++i) out[i] = reduce(x.data<T>().subspan(i * size, size));
  });
  c.set(TRY(as_dtype(y, dtype)));
  return {};
}

Status eval_global_average(EvalContext& c) {
  return eval_planes(c, []<class T>(std::span<const T> plane) {
    double sum = 0;
    const size_t size = plane.size();
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < size; ++i) sum += static_cast<double>(plane[i]);
    return static_cast<T>(sum / static_cast<double>(size));
  });
}

Status eval_global_max(EvalContext& c) {
  return eval_planes(c, []<class T>(std::span<const T> plane) {
    T largest = -std::numeric_limits<T>::infinity();
    for (T value : plane) largest = value > largest || value != value ? value : largest;
    return largest;
  });
}

Status eval_global_lp(EvalContext& c) {
  const double p = static_cast<double>(c.attrs().integer("p"));
  return eval_planes(c, [p]<class T>(std::span<const T> plane) {
    double sum = 0;
    for (T value : plane)
      sum += p == 2 ? double{value} * double{value} : std::pow(std::abs(double{value}), p);
    return static_cast<T>(p == 2 ? std::sqrt(sum) : std::pow(sum, 1 / p));
  });
}

std::vector<int64_t> spatial_axes(const Shape& shape) {
  std::vector<int64_t> axes;
  for (size_t d = 2; d < shape.size(); ++d) axes.push_back(static_cast<int64_t>(d));
  return axes;
}

Status global_average_vjp(VjpContext& c) {
  const Shape shape = TRY(known_shape(c.operand(0), "the input"));
  const Dim count = element_count(std::span<const Dim>(shape).subspan(2));
  Value* divisor = count.is_constant() ? c.b.number(static_cast<double>(count.constant()), c.operand(0))
                                       : c.b.cast(c.b.dims({count}), c.operand(0)->type.dtype);
  c.set(0, c.b.expand(c.b.div(c.gradient(), divisor), shape));
  return c.b.status();
}

// Elements that share the maximum share the gradient evenly.
Status global_max_vjp(VjpContext& c) {
  Value* x = c.operand(0);
  const Shape shape = TRY(known_shape(x, "the input"));
  Value* ties = c.b.cast(c.b.op("Equal", {x, c.output()}), x->type.dtype);
  c.set(0, c.b.mul(ties, c.b.div(c.gradient(), c.b.reduce_sum(ties, spatial_axes(shape), true))));
  return c.b.status();
}

// dx = dy * sign(x) * (|x| / y)^(p - 1), 0 where y is 0.
Status global_lp_vjp(VjpContext& c) {
  const int64_t p = c.attrs().integer("p");
  ScalarExpr dy = ScalarExpr::arg(0), x = ScalarExpr::arg(1), y = ScalarExpr::arg(2);
  if (p == 1) return c.set(0, c.b.map(dy * scalar::sign(x), {c.gradient(), c.operand(0)})), c.b.status();
  ScalarExpr ratio = x / select(y == 0, 1, y);
  ScalarExpr slope = p == 2 ? ratio : ratio * scalar::pow(scalar::abs(ratio), static_cast<double>(p - 2));
  c.set(0, c.b.map(dy * select(y == 0, 0, slope), {c.gradient(), c.operand(0), c.output()}));
  return c.b.status();
}

}  // namespace

constinit const StructuredOp ops::GlobalAveragePool = {.inputs = {1, 1},
                                                       .outputs = {1, 1},
                                                       .attrs = {},
                                                       .infer = infer_global_pool,
                                                       .eval = eval_global_average,
                                                       .flops = one_per_operand_element};
constinit const GradientRule gradients::GlobalAveragePool = {.vjp = global_average_vjp};
constinit const StructuredOp ops::GlobalMaxPool = {.inputs = {1, 1},
                                                   .outputs = {1, 1},
                                                   .attrs = {},
                                                   .infer = infer_global_pool,
                                                   .eval = eval_global_max,
                                                   .flops = one_per_operand_element};
constinit const GradientRule gradients::GlobalMaxPool = {.vjp = global_max_vjp};
constinit const StructuredOp ops::GlobalLpPool = {.inputs = {1, 1},
                                                  .outputs = {1, 1},
                                                  .attrs = kLpAttrs,
                                                  .infer = infer_global_lp_pool,
                                                  .eval = eval_global_lp,
                                                  .flops = one_per_operand_element};
constinit const GradientRule gradients::GlobalLpPool = {.vjp = global_lp_vjp};

}  // namespace gannet
