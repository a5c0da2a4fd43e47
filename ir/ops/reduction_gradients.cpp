#include "ir/ops/reduction_gradients.h"

#include "ir/ops/reduction_sweep.h"

namespace gannet {
namespace {

// What the rules below share: the gradient and the result with the reduced dimensions kept as 1.
struct ReduceVjp {
  Value* x = nullptr;
  Value* y = nullptr;
  Value* dy = nullptr;
  std::vector<int64_t> axes;
  Shape shape;    // of x
  Dim count = 1;  // elements reduced to one
};

Result<ReduceVjp> begin_vjp(VjpContext& c) {
  ReduceVjp r;
  r.x = c.operand(0);
  if (!r.x->type.shape) return unsupported("the gradient of a reduction needs the rank of its operand");
  r.shape = *r.x->type.shape;
  std::optional<std::vector<int64_t>> axes = std::vector<int64_t>{};
  if (c.operand(1)) axes = constant_ints(c.operand(1));
  if (!axes) return unsupported("the gradient of a reduction needs constant axes");
  auto reduced = TRY(reduced_dimensions(*axes, static_cast<int64_t>(r.shape.size()),
                                        c.attrs().integer("noop_with_empty_axes") != 0));
  for (size_t i = 0; i < r.shape.size(); ++i) {
    if (!reduced[i]) continue;
    r.axes.push_back(static_cast<int64_t>(i));
    r.count = r.count * r.shape[i];
  }
  bool unsqueeze = c.attrs().integer("keepdims") == 0 && !r.axes.empty();
  r.y = c.output();
  r.dy = c.gradient();
  if (unsqueeze) r.y = c.b.unsqueeze(r.y, r.axes), r.dy = c.b.unsqueeze(r.dy, r.axes);
  return r;
}

}  // namespace

Status reduce_sum_vjp(VjpContext& c) {
  ReduceVjp r = TRY(begin_vjp(c));
  c.set(0, c.b.expand(r.dy, r.shape));
  return c.b.status();
}

Status reduce_mean_vjp(VjpContext& c) {
  ReduceVjp r = TRY(begin_vjp(c));
  Value* count = r.count.is_constant() ? c.b.number(static_cast<double>(r.count.constant()), r.x)
                                       : c.b.cast(c.b.dims({r.count}), r.x->type.dtype);
  c.set(0, c.b.expand(c.b.div(r.dy, count), r.shape));
  return c.b.status();
}

// Elements that share the extremum share the gradient evenly.
Status reduce_extremum_vjp(VjpContext& c) {
  ReduceVjp r = TRY(begin_vjp(c));
  Value* ties = c.b.cast(c.b.op("Equal", {r.x, r.y}), r.x->type.dtype);
  Value* share = c.b.div(r.dy, c.b.reduce_sum(ties, r.axes, true));
  c.set(0, c.b.mul(ties, share));
  return c.b.status();
}

// Each element's gradient is the product of the others: of those before it and of those behind it, one axis after the
// other. Nothing is divided, so zeros are no exception.
Status reduce_prod_vjp(VjpContext& c) {
  ReduceVjp r = TRY(begin_vjp(c));
  if (r.axes.empty()) return c.set(0, r.dy), c.b.status();
  std::vector<Value*> partial = {r.x};
  for (size_t i = 0; i + 1 < r.axes.size(); ++i) partial.push_back(c.b.reduce("ReduceProd", partial.back(), {r.axes[i]}, true));
  Value* gradient = r.dy;
  for (size_t i = r.axes.size(); i-- > 0;) {
    auto others = [&](int64_t reverse) {
      Value* axis = c.b.constant(Tensor::scalar<int64_t>(r.axes[i]));
      return c.b.op("CumProd", {partial[i], axis}, {{"exclusive", int64_t{1}}, {"reverse", reverse}});
    };
    gradient = c.b.mul(gradient, c.b.mul(others(0), others(1)));
  }
  c.set(0, gradient);
  return c.b.status();
}

Status reduce_l1_vjp(VjpContext& c) {
  ReduceVjp r = TRY(begin_vjp(c));
  c.set(0, c.b.mul(r.dy, c.b.op("Sign", {r.x})));
  return c.b.status();
}

// At the origin, where the norm has a kink, the gradient is 0.
Status reduce_l2_vjp(VjpContext& c) {
  ReduceVjp r = TRY(begin_vjp(c));
  ScalarExpr dy = ScalarExpr::arg(0), x = ScalarExpr::arg(1), y = ScalarExpr::arg(2);
  c.set(0, c.b.map(select(y == 0, 0, dy * x / select(y == 0, 1, y)), {r.dy, r.x, r.y}));
  return c.b.status();
}

Status reduce_sum_square_vjp(VjpContext& c) {
  ReduceVjp r = TRY(begin_vjp(c));
  c.set(0, c.b.map(2 * ScalarExpr::arg(0) * ScalarExpr::arg(1), {r.dy, r.x}));
  return c.b.status();
}

Status reduce_log_sum_vjp(VjpContext& c) {
  ReduceVjp r = TRY(begin_vjp(c));
  c.set(0, c.b.expand(c.b.div(r.dy, c.b.reduce_sum(r.x, r.axes, true)), r.shape));
  return c.b.status();
}

Status reduce_log_sum_exp_vjp(VjpContext& c) {
  ReduceVjp r = TRY(begin_vjp(c));
  c.set(0,
        c.b.map(ScalarExpr::arg(0) * scalar::exp(ScalarExpr::arg(1) - ScalarExpr::arg(2)), {r.dy, r.x, r.y}));
  return c.b.status();
}

}  // namespace gannet
