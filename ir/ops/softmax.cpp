#include <algorithm>
#include <cmath>

#include "ir/ops/float_compute.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/flops.h"
#include "ir/ops/ops.h"

namespace gannet {
namespace {

constexpr AttrDef kAxisAttrs[] = {int_attr("axis", -1)};
constexpr AttrDef kLpAttrs[] = {int_attr("axis", -1), int_attr("p", 2)};

Status infer_along_axis(InferContext& c) {
  TRY(expect_tensors(c, 1));
  TRY(expect_float(c, 0, "input"));
  if (c.shape(0)) TRY(normalize_axis(c.attrs().integer("axis"), c.type(0).rank()));
  c.set(0, c.type(0));
  return {};
}

Status infer_lp(InferContext& c) {
  int64_t p = c.attrs().integer("p");
  if (p != 1 && p != 2) return invalid_model(fmt::format("p must be 1 or 2, got {}", p));
  return infer_along_axis(c);
}

// Elements of one line along the axis: x[0], x[stride], ...
template <class T>
struct Line {
  const T* x;
  T* y;
  int64_t length;
  int64_t stride;
};

// Calls compute(Line) for each line along the attribute `axis`.
template <class Compute>
Status eval_lines(EvalContext& c, Compute compute) {
  Tensor x = TRY(widened(c.tensor(0)));
  Tensor y = TRY(c.allocate(x.dtype(), x.extents()));
  AxisView view = view_axis(x.extents(), TRY(normalize_axis(c.attrs().integer("axis"), x.rank())));
  if (x.elements() > 0) {
    visit_compute(x.dtype(), [&]<class T>(Tag<T>) {
      const T* from = x.data<T>().data();
      T* to = y.mutable_data<T>().data();
      for (int64_t o = 0; o < view.outer; ++o) {
        int64_t start = o * view.length * view.inner;
        for (int64_t i = start; i < start + view.inner; ++i)
          compute(Line<T>{from + i, to + i, view.length, view.inner});
      }
    });
  }
  c.set(TRY(as_dtype(y, c.tensor(0).dtype())));
  return {};
}

template <class T>
T largest_of(const Line<T>& line) {
  T largest = line.x[0];
  for (int64_t i = 1; i < line.length; ++i) largest = std::max(largest, line.x[i * line.stride]);
  return largest;
}

Status eval_softmax(EvalContext& c) {
  return eval_lines(c, []<class T>(const Line<T>& line) {
    T largest = largest_of(line);
    double sum = 0;
    for (int64_t i = 0; i < line.length * line.stride; i += line.stride) {
      line.y[i] = std::exp(line.x[i] - largest);
      sum += static_cast<double>(line.y[i]);
    }
    T scale = static_cast<T>(1 / sum);
    for (int64_t i = 0; i < line.length * line.stride; i += line.stride) line.y[i] *= scale;
  });
}

Status eval_log_softmax(EvalContext& c) {
  return eval_lines(c, []<class T>(const Line<T>& line) {
    T largest = largest_of(line);
    double sum = 0;
    for (int64_t i = 0; i < line.length * line.stride; i += line.stride) {
      sum += static_cast<double>(std::exp(line.x[i] - largest));
    }
    T shift = static_cast<T>(std::log(sum));
    for (int64_t i = 0; i < line.length * line.stride; i += line.stride)
      line.y[i] = line.x[i] - largest - shift;
  });
}

Status eval_hardmax(EvalContext& c) {
  return eval_lines(c, []<class T>(const Line<T>& line) {
    int64_t first = 0;
    for (int64_t i = 0; i < line.length * line.stride; i += line.stride) {
      line.y[i] = 0;
      if (line.x[i] > line.x[first]) first = i;
    }
    line.y[first] = 1;
  });
}

// A line of zeros stays one.
Status eval_lp(EvalContext& c) {
  bool squares = c.attrs().integer("p") == 2;
  return eval_lines(c, [squares]<class T>(const Line<T>& line) {
    double sum = 0;
    for (int64_t i = 0; i < line.length * line.stride; i += line.stride) {
      double x = static_cast<double>(line.x[i]);
      sum += squares ? x * x : std::abs(x);
    }
    double norm = squares ? std::sqrt(sum) : sum;
    for (int64_t i = 0; i < line.length * line.stride; i += line.stride) {
      line.y[i] = norm == 0 ? T(0) : static_cast<T>(static_cast<double>(line.x[i]) / norm);
    }
  });
}

Value* sum_along_axis(VjpContext& c, Value* x) {
  return c.b.reduce_sum(x, {c.attrs().integer("axis")}, true);
}

Status softmax_vjp(VjpContext& c) {
  Value *y = c.output(), *dy = c.gradient();
  Value* total = sum_along_axis(c, c.b.mul(dy, y));
  c.set(0, c.b.mul(y, c.b.sub(dy, total)));
  return c.b.status();
}

Status log_softmax_vjp(VjpContext& c) {
  Value* dy = c.gradient();
  c.set(0, c.b.sub(dy, c.b.mul(c.b.op("Exp", {c.output()}), sum_along_axis(c, dy))));
  return c.b.status();
}

Status lp_vjp(VjpContext& c) {
  Value *x = c.operand(0), *y = c.output(), *dy = c.gradient();
  bool squares = c.attrs().integer("p") == 2;
  Value* norm = c.b.reduce(squares ? "ReduceL2" : "ReduceL1", x, {c.attrs().integer("axis")}, true);
  Value* projection = sum_along_axis(c, c.b.mul(dy, y));
  Value* slope = squares ? y : c.b.op("Sign", {x});
  ScalarExpr g = ScalarExpr::arg(0), s = ScalarExpr::arg(1), p = ScalarExpr::arg(2), n = ScalarExpr::arg(3);
  c.set(0, c.b.map(select(n == 0, 0, (g - s * p) / select(n == 0, 1, n)), {dy, slope, projection, norm}));
  return c.b.status();
}

constexpr StructuredOp along_axis(std::span<const AttrDef> attrs, InferFn infer, EvalFn eval) {
  return {.inputs = {1, 1}, .outputs = {1, 1}, .attrs = attrs, .infer = infer, .eval = eval, .flops = one_per_operand_element};
}

}  // namespace

constinit const StructuredOp ops::Softmax =
    along_axis(kAxisAttrs, infer_along_axis, eval_softmax);
constinit const GradientRule gradients::Softmax = {.vjp = softmax_vjp};
constinit const StructuredOp ops::LogSoftmax =
    along_axis(kAxisAttrs, infer_along_axis, eval_log_softmax);
constinit const GradientRule gradients::LogSoftmax = {.vjp = log_softmax_vjp};
constinit const StructuredOp ops::Hardmax = {
    .inputs = {1, 1}, .outputs = {1, 1}, .attrs = kAxisAttrs, .infer = infer_along_axis, .eval = eval_hardmax,
    .no_gradient = "constant between jumps", .flops = one_per_operand_element};
constinit const StructuredOp ops::LpNormalization = along_axis(kLpAttrs, infer_lp, eval_lp);
constinit const GradientRule gradients::LpNormalization = {.vjp = lp_vjp};

}  // namespace gannet
