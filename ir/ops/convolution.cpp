#include "ir/ops/convolution.h"

#include <fmt/format.h>

#include "ir/ops/float_compute.h"
#include "ir/ops/flops.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"

namespace gannet {

Result<std::optional<Window>> convolution_window(const Attributes& attrs, const Shape& weights) {
  Shape extents(weights.begin() + 2, weights.end());
  const std::vector<int64_t>& given = attrs.integers("kernel_shape");
  if (!given.empty()) {
    if (given.size() != extents.size()) {
      return invalid_model(
          fmt::format("kernel_shape has {} entries for {} spatial dimensions", given.size(), extents.size()));
    }
    for (size_t d = 0; d < given.size(); ++d) {
      if (extents[d].is_constant() && extents[d] != Dim(given[d])) {
        return invalid_model(
            fmt::format("kernel_shape {} along spatial dimension {} differs from the weights' {}", given[d],
                        d, extents[d].to_string()));
      }
    }
    return std::optional(TRY(read_window(attrs, given)));
  }
  if (!is_static(extents)) return std::optional<Window>();
  return std::optional(TRY(read_window(attrs, static_extents(extents))));
}

Status expect_bias(const InferContext& c, size_t i, const Dim& channels) {
  TRY(expect_rank(c, i, 1, "bias"));
  const Shape* bias = c.shape(i);
  if (bias && channels.is_constant() && (*bias)[0].is_constant() && (*bias)[0] != channels) {
    return invalid_model(fmt::format("bias has {} elements for {} output channels", (*bias)[0].to_string(),
                                     channels.to_string()));
  }
  return {};
}

static Status check_channels(const Shape& x, const Shape& w, int64_t group) {
  if (group < 1) return invalid_model(fmt::format("group {} is less than 1", group));
  if (x[1].is_constant() && x[1].constant() % group != 0) {
    return invalid_model(fmt::format("group {} does not divide {} input channels", group, x[1].to_string()));
  }
  if (w[0].is_constant() && w[0].constant() % group != 0) {
    return invalid_model(fmt::format("group {} does not divide {} output channels", group, w[0].to_string()));
  }
  if (x[1].is_constant() && w[1].is_constant() && x[1].constant() / group != w[1].constant()) {
    return invalid_model(fmt::format("the input has {} channels in {} groups, the weights take {} a group",
                                     x[1].to_string(), group, w[1].to_string()));
  }
  return {};
}

Result<std::optional<Shape>> convolution_shape(InferContext& c, const ConvolutionOperands& operands) {
  const Shape* x = c.shape(operands.input);
  const Shape* w = c.shape(operands.weights);
  if (w && w->size() < 3)
    return invalid_model(fmt::format("the weights must have rank 3 or more, got {}", w->size()));
  if (x && x->size() < 3)
    return invalid_model(fmt::format("the input must have rank 3 or more, got {}", x->size()));
  if (x && w && x->size() != w->size()) {
    return invalid_model(
        fmt::format("the input has rank {}, the weights have rank {}", x->size(), w->size()));
  }
  if (x && w) TRY(check_channels(*x, *w, c.attrs().integer("group")));
  if (operands.bias >= 0 && c.has(static_cast<size_t>(operands.bias))) {
    TRY(expect_bias(c, static_cast<size_t>(operands.bias), w ? (*w)[0] : Dim::symbol("channels")));
  }
  if (!x) return std::optional<Shape>();
  std::optional<Window> window;
  if (w) window = TRY(convolution_window(c.attrs(), *w));
  Shape shape{(*x)[0], w ? (*w)[0] : c.fresh("channels")};
  for (size_t d = 0; d + 2 < x->size(); ++d) {
    shape.push_back(window ? TRY(window_output(*window, d, (*x)[d + 2])) : c.fresh("extent"));
  }
  return std::optional(std::move(shape));
}

Result<ConvolutionGeometry> convolution_geometry(const Attributes& attrs, std::span<const int64_t> input,
                                                 std::span<const int64_t> weights,
                                                 std::span<const int64_t> output) {
  ConvolutionGeometry g;
  g.batch = input[0];
  g.groups = attrs.integer("group");
  g.in_channels = weights[1];
  g.out_channels = weights[0] / g.groups;
  Window window = TRY(read_window(attrs, {weights.begin() + 2, weights.end()}));
  g.window = geometry_of(window, input.subspan(2), output.subspan(2));
  return g;
}

namespace {

constexpr AttrDef kConvAttrs[] = {string_attr("auto_pad", "NOTSET"),
                                  optional_attr("dilations", AttrKind::kInts),
                                  int_attr("group", 1),
                                  optional_attr("kernel_shape", AttrKind::kInts),
                                  optional_attr("pads", AttrKind::kInts),
                                  optional_attr("strides", AttrKind::kInts)};

Status infer_conv(InferContext& c) {
  TRY(expect_tensors(c, 2));
  TRY(expect_float(c, 0, "input"));
  TRY(expect_same_dtype(c, 0, 1));
  if (c.has(2)) TRY(expect_same_dtype(c, 0, 2));
  c.set_tensor(0, c.dtype(0), TRY(convolution_shape(c, {0, 1, 2})));
  return {};
}

Status eval_conv(EvalContext& c) {
  const DType dtype = c.tensor(0).dtype();
  const Tensor x = TRY(widened(c.tensor(0))), w = TRY(widened(c.tensor(1)));
  const Tensor bias = c.has(2) ? TRY(widened(c.tensor(2))) : Tensor();
  Tensor y = TRY(c.allocate(compute_dtype(dtype), static_extents(*c.output_type(0).shape)));
  const ConvolutionGeometry g = TRY(convolution_geometry(c.attrs(), x.extents(), w.extents(), y.extents()));
  visit_compute(dtype, [&]<class T>(Tag<T>) {
    const T* b = bias.defined() ? bias.data<T>().data() : nullptr;
    convolve<T>(g, x.data<T>().data(), w.data<T>().data(), b, y.mutable_data<T>().data());
  });
  c.set(TRY(as_dtype(y, dtype)));
  return {};
}

// Operands: the gradient of the output, the weights, and the input, of which only the extents matter.
Status infer_input_gradient(InferContext& c) {
  TRY(expect_tensors(c, 3));
  TRY(expect_float(c, 0, "gradient"));
  TRY(expect_same_dtype(c, 0, 1));
  TRY(expect_same_dtype(c, 0, 2));
  const std::optional<Shape> output = TRY(convolution_shape(c, {2, 1, -1}));
  if (output && c.shape(0)) TRY(merge_shapes(*output, *c.shape(0)));
  c.set_tensor(0, c.dtype(0), c.type(2).shape);
  return {};
}

Status eval_input_gradient(EvalContext& c) {
  const DType dtype = c.tensor(0).dtype();
  const Tensor dy = TRY(widened(c.tensor(0))), w = TRY(widened(c.tensor(1)));
  Tensor dx = TRY(c.allocate(compute_dtype(dtype), c.tensor(2).extents()));
  const ConvolutionGeometry g = TRY(convolution_geometry(c.attrs(), dx.extents(), w.extents(), dy.extents()));
  visit_compute(dtype, [&]<class T>(Tag<T>) {
    convolve_back<T>(g, dy.data<T>().data(), w.data<T>().data(), nullptr, dx.mutable_data<T>().data());
  });
  c.set(TRY(as_dtype(dx, dtype)));
  return {};
}

// Operands: the input and the gradient of the output; kernel_shape says what the extents alone do not.
Status infer_weight_gradient(InferContext& c) {
  TRY(expect_tensors(c, 2));
  TRY(expect_float(c, 0, "input"));
  TRY(expect_same_dtype(c, 0, 1));
  const Shape* x = c.shape(0);
  const Shape* dy = c.shape(1);
  const std::vector<int64_t>& kernel = c.attrs().integers("kernel_shape");
  const Window window = TRY(read_window(c.attrs(), kernel));
  const int64_t group = c.attrs().integer("group");
  if (group < 1) return invalid_model(fmt::format("group {} is less than 1", group));
  const size_t rank = kernel.size() + 2;
  for (size_t i = 0; i < 2; ++i)
    TRY(expect_rank(c, i, static_cast<int64_t>(rank), i == 0 ? "input" : "gradient"));
  Shape shape{dy ? (*dy)[1] : c.fresh("channels"), Dim()};
  shape[1] = x ? floordiv((*x)[1], group) : c.fresh("channels");
  shape.insert(shape.end(), kernel.begin(), kernel.end());
  if (x && dy) {
    TRY(check_channels(*x, shape, group));
    Shape output{(*x)[0], (*dy)[1]};
    for (size_t d = 0; d < kernel.size(); ++d) output.push_back(TRY(window_output(window, d, (*x)[d + 2])));
    TRY(merge_shapes(output, *dy));
  }
  c.set_tensor(0, c.dtype(0), std::move(shape));
  return {};
}

Status eval_weight_gradient(EvalContext& c) {
  const DType dtype = c.tensor(0).dtype();
  const Tensor x = TRY(widened(c.tensor(0))), dy = TRY(widened(c.tensor(1)));
  Tensor dw = TRY(c.allocate(compute_dtype(dtype), static_extents(*c.output_type(0).shape)));
  const ConvolutionGeometry g = TRY(convolution_geometry(c.attrs(), x.extents(), dw.extents(), dy.extents()));
  visit_compute(dtype, [&]<class T>(Tag<T>) {
    convolve_weights<T>(g, x.data<T>().data(), dy.data<T>().data(), dw.mutable_data<T>().data());
  });
  c.set(TRY(as_dtype(dw, dtype)));
  return {};
}

// The attributes of a node with the kernel's extents made explicit, for rules that no longer see the weights.
Result<Attributes> attrs_with_kernel(const VjpContext& c, const Value* weights) {
  Attributes attrs = c.attrs();
  if (!attrs.integers("kernel_shape").empty()) return attrs;
  const Shape shape = TRY(known_shape(weights, "the weights"));
  const std::span<const Dim> kernel = std::span<const Dim>(shape).subspan(2);
  if (!is_static(kernel)) return unsupported("the gradient of a convolution needs weights of known extents");
  attrs.set("kernel_shape", static_extents(kernel));
  return attrs;
}

Status conv_vjp(VjpContext& c) {
  Value* x = c.operand(0);
  Value* w = c.operand(1);
  Value* dy = c.gradient();
  const Attributes attrs = TRY(attrs_with_kernel(c, w));
  if (c.wants(0)) c.set(0, c.b.op("ConvInputGradient", {dy, w, x}, attrs));
  if (c.wants(1)) c.set(1, c.b.op("ConvWeightGradient", {x, dy}, attrs));
  if (c.wants(2)) {
    const Shape shape = TRY(known_shape(x, "the input"));
    std::vector<int64_t> axes{0};
    for (size_t d = 2; d < shape.size(); ++d) axes.push_back(static_cast<int64_t>(d));
    c.set(2, c.b.reduce_sum(dy, axes, false));
  }
  return c.b.status();
}

Status input_gradient_vjp(VjpContext& c) {
  Value* w = c.operand(1);
  const Attributes attrs = TRY(attrs_with_kernel(c, w));
  c.set(0, c.b.op("Conv", {c.gradient(), w}, attrs));
  c.set(1, c.b.op("ConvWeightGradient", {c.gradient(), c.operand(0)}, attrs));
  return c.b.status();
}

Status weight_gradient_vjp(VjpContext& c) {
  Value* x = c.operand(0);
  c.set(0, c.b.op("ConvInputGradient", {c.operand(1), c.gradient(), x}, c.attrs()));
  c.set(1, c.b.op("Conv", {x, c.gradient()}, c.attrs()));
  return c.b.status();
}

}  // namespace

constinit const StructuredOp ops::Conv = {.inputs = {2, 3},
                                          .outputs = {1, 1},
                                          .attrs = kConvAttrs,
                                          .infer = infer_conv,
                                          .eval = eval_conv,
                                          .flops = conv_flops};
constinit const GradientRule gradients::Conv = {.vjp = conv_vjp};
constinit const StructuredOp ops::ConvInputGradient = {.inputs = {3, 3},
                                                       .outputs = {1, 1},
                                                       .attrs = kConvAttrs,
                                                       .infer = infer_input_gradient,
                                                       .eval = eval_input_gradient,
                                                       .flops = conv_input_gradient_flops};
constinit const GradientRule gradients::ConvInputGradient = {.vjp = input_gradient_vjp};
constinit const StructuredOp ops::ConvWeightGradient = {.inputs = {2, 2},
                                                        .outputs = {1, 1},
                                                        .attrs = kConvAttrs,
                                                        .infer = infer_weight_gradient,
                                                        .eval = eval_weight_gradient,
                                                        .flops = conv_weight_gradient_flops};
constinit const GradientRule gradients::ConvWeightGradient = {.vjp = weight_gradient_vjp};

}  // namespace gannet
