#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ir/ops/float_compute.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"

namespace gannet {
namespace {

constexpr AttrDef kAttrs[] = {float_attr("alpha", 0.0001f), float_attr("beta", 0.75f),
                              float_attr("bias", 1.0f), required_attr("size", AttrKind::kInt)};

Status infer_lrn(InferContext& c) {
  TRY(expect_tensors(c, 1));
  TRY(expect_float(c, 0, "input"));
  if (c.attrs().integer("size") < 1)
    return invalid_model(fmt::format("size {} is less than 1", c.attrs().integer("size")));
  if (c.shape(0) && c.shape(0)->size() < 2) {
    return invalid_model(fmt::format("the input must have rank 2 or more, got {}", c.shape(0)->size()));
  }
  c.set(0, c.type(0));
  return {};
}

// y = x / (bias + alpha / size * (sum of squares of the channels around))^beta.
template <class T>
void normalize(const AxisView& view, const Attributes& attrs, const T* x, T* y) {
  const int64_t size = attrs.integer("size"), before = (size - 1) / 2, behind = size / 2;
  const T bias = attrs.number("bias"), scale = attrs.number("alpha") / static_cast<T>(size),
          beta = attrs.number("beta");
  std::vector<T> squares(static_cast<size_t>(view.inner));
  for (int64_t n = 0; n < view.outer; ++n, x += view.length * view.inner) {
    for (int64_t channel = 0; channel < view.length; ++channel, y += view.inner) {
      std::fill(squares.begin(), squares.end(), T(0));
      T* sums = squares.data();
      const int64_t first = channel > before ? channel - before : 0;
      const int64_t last = behind < view.length - channel ? channel + behind : view.length - 1;
      for (int64_t other = first; other <= last; ++other) {
        const T* row = x + other * view.inner;
#pragma omp simd
        for (int64_t i = 0; i < view.inner; ++i) sums[i] += row[i] * row[i];
      }
      const T* row = x + channel * view.inner;
      for (int64_t i = 0; i < view.inner; ++i) y[i] = row[i] / std::pow(bias + scale * sums[i], beta);
    }
  }
}

Status eval_lrn(EvalContext& c) {
  const DType dtype = c.tensor(0).dtype();
  const Tensor x = TRY(widened(c.tensor(0)));
  Tensor y = TRY(c.allocate(compute_dtype(dtype), x.extents()));
  if (x.elements() > 0) {
    visit_compute(dtype, [&]<class T>(Tag<T>) {
      normalize<T>(view_axis(x.extents(), 1), c.attrs(), x.data<T>().data(), y.mutable_data<T>().data());
    });
  }
  c.set(TRY(as_dtype(y, dtype)));
  return {};
}

// The sums over channels as a pooling of [batch, 1, channels, rest].
Status lrn_for_gradient(DecomposeContext& c) {
  Value* x = c.operand(0);
  const Shape shape = TRY(known_shape(x, "the input"));
  const int64_t size = c.attrs().integer("size");
  ScalarExpr arg = ScalarExpr::arg(0), mean = ScalarExpr::arg(1);
  const Dim rest = element_count(std::span<const Dim>(shape).subspan(2));
  Value* squares = c.b.reshape(c.b.map(arg * arg, {x}), {shape[0], Dim(1), shape[1], rest});
  Value* means = c.b.op("AveragePool", {squares},
                        {{"kernel_shape", std::vector<int64_t>{size, 1}},
                         {"pads", std::vector<int64_t>{(size - 1) / 2, 0, size / 2, 0}},
                         {"count_include_pad", int64_t{1}}});
  ScalarExpr norm = static_cast<double>(c.attrs().number("bias")) + static_cast<double>(c.attrs().number("alpha")) * mean;
  c.set(0, c.b.map(arg * scalar::pow(norm, -static_cast<double>(c.attrs().number("beta"))), {x, c.b.reshape(means, shape)}));
  return {};
}

}  // namespace

constinit const StructuredOp ops::LRN = {.inputs = {1, 1},
                                         .outputs = {1, 1},
                                         .attrs = kAttrs,
                                         .infer = infer_lrn,
                                         .eval = eval_lrn};
constinit const GradientRule gradients::LRN = {.for_gradient = lrn_for_gradient};

}  // namespace gannet
