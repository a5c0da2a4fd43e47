#include <fmt/format.h>

#include "ir/ops/convolution.h"
#include "ir/ops/float_compute.h"
#include "ir/ops/flops.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"

namespace gannet {
namespace {

constexpr AttrDef kConvTransposeAttrs[] = {string_attr("auto_pad", "NOTSET"),
                                           optional_attr("dilations", AttrKind::kInts),
                                           int_attr("group", 1),
                                           optional_attr("kernel_shape", AttrKind::kInts),
                                           optional_attr("output_padding", AttrKind::kInts),
                                           optional_attr("output_shape", AttrKind::kInts),
                                           optional_attr("pads", AttrKind::kInts),
                                           optional_attr("strides", AttrKind::kInts)};

// The window of the convolution that this is the transpose of, and what the attributes say of the result's
// extents.
struct TransposedWindow {
  Window window;
  std::vector<int64_t> output_padding;
  std::vector<int64_t> output_shape;  // empty: follows from the input

  // Extent of the result before padding is taken away.
  Dim full(size_t d, const Dim& input) const {
    return (input - 1) * window.strides[d] + (output_padding[d] + window.span(d));
  }
};

Status check_extent(std::string_view name, int64_t value, int64_t least) {
  constexpr int64_t kMostExtent = int64_t{1} << 40;
  if (value >= least && value <= kMostExtent) return {};
  return invalid_model(fmt::format("{} holds {}, not between {} and {}", name, value, least, kMostExtent));
}

Result<TransposedWindow> complete(const Attributes& attrs, Window window) {
  TransposedWindow result{std::move(window), attrs.integers("output_padding"),
                          attrs.integers("output_shape")};
  const size_t rank = result.window.rank();
  if (result.output_padding.empty()) result.output_padding.assign(rank, 0);
  if (result.output_padding.size() != rank) {
    return invalid_model(fmt::format("output_padding has {} entries for {} spatial dimensions",
                                     result.output_padding.size(), rank));
  }
  std::vector<int64_t>& shape = result.output_shape;
  if (shape.size() == rank + 2) shape.erase(shape.begin(), shape.begin() + 2);
  if (!shape.empty() && shape.size() != rank) {
    return invalid_model(
        fmt::format("output_shape has {} entries for {} spatial dimensions", shape.size(), rank));
  }
  for (int64_t padding : result.output_padding) TRY(check_extent("output_padding", padding, 0));
  for (int64_t extent : shape) TRY(check_extent("output_shape", extent, 1));
  return result;
}

Result<Dim> output_extent(const TransposedWindow& t, size_t d, const Dim& input) {
  if (!t.output_shape.empty()) return Dim(t.output_shape[d]);
  if (t.window.auto_pad == AutoPad::kSameUpper || t.window.auto_pad == AutoPad::kSameLower)
    return input * t.window.strides[d];
  const Dim extent = t.full(d, input) - (t.window.pads_begin[d] + t.window.pads_end[d]);
  if (extent.is_constant() && extent.constant() < 0) {
    return invalid_model(
        fmt::format("spatial dimension {} of the result would have the extent {}", d, extent.to_string()));
  }
  return extent;
}

// Padding at the beginning of dimension d. What output_shape or auto_pad leave over is split; only SAME_UPPER
// puts the odd element at the end.
int64_t pad_begin(const TransposedWindow& t, size_t d, int64_t input, int64_t output) {
  const AutoPad mode = t.window.auto_pad;
  const bool same = mode == AutoPad::kSameUpper || mode == AutoPad::kSameLower;
  if (t.output_shape.empty() && !same) return t.window.pads_begin[d];
  const int64_t total = std::max<int64_t>(0, t.full(d, input).constant() - output);
  return mode == AutoPad::kSameUpper ? total / 2 : total - total / 2;
}

Status check_channels(const Shape& x, const Shape& w, int64_t group) {
  if (x[1].is_constant() && w[0].is_constant() && x[1] != w[0]) {
    return invalid_model(
        fmt::format("the input has {} channels, the weights take {}", x[1].to_string(), w[0].to_string()));
  }
  for (const Dim& channels : {x[1], w[0]}) {
    if (channels.is_constant() && channels.constant() % group != 0) {
      return invalid_model(
          fmt::format("group {} does not divide {} input channels", group, channels.to_string()));
    }
  }
  return {};
}

Status infer_conv_transpose(InferContext& c) {
  TRY(expect_tensors(c, 2));
  TRY(expect_float(c, 0, "input"));
  TRY(expect_same_dtype(c, 0, 1));
  if (c.has(2)) TRY(expect_same_dtype(c, 0, 2));
  const int64_t group = c.attrs().integer("group");
  if (group < 1) return invalid_model(fmt::format("group {} is less than 1", group));
  const Shape *x = c.shape(0), *w = c.shape(1);
  if (w && w->size() < 3)
    return invalid_model(fmt::format("the weights must have rank 3 or more, got {}", w->size()));
  if (x && x->size() < 3)
    return invalid_model(fmt::format("the input must have rank 3 or more, got {}", x->size()));
  if (x && w && x->size() != w->size()) {
    return invalid_model(
        fmt::format("the input has rank {}, the weights have rank {}", x->size(), w->size()));
  }
  if (x && w) TRY(check_channels(*x, *w, group));
  const Dim channels = w ? (*w)[1] * group : c.fresh("channels");
  if (c.has(2)) TRY(expect_bias(c, 2, channels));
  c.set_tensor(0, c.dtype(0), std::nullopt);
  if (!x) return {};
  std::optional<Window> window;
  if (w) window = TRY(convolution_window(c.attrs(), *w));
  Shape shape{(*x)[0], channels};
  for (size_t d = 0; d + 2 < x->size(); ++d) {
    if (!window)
      shape.push_back(c.fresh("extent"));
    else
      shape.push_back(TRY(output_extent(TRY(complete(c.attrs(), *window)), d, (*x)[d + 2])));
  }
  c.set_tensor(0, c.dtype(0), std::move(shape));
  return {};
}

// The convolution that takes the result's extents to the input's.
Result<ConvolutionGeometry> transposed_geometry(const Attributes& attrs, std::span<const int64_t> x,
                                                std::span<const int64_t> w, std::span<const int64_t> y) {
  const TransposedWindow t = TRY(complete(attrs, TRY(read_window(attrs, {w.begin() + 2, w.end()}))));
  ConvolutionGeometry g;
  g.batch = x[0];
  g.groups = attrs.integer("group");
  g.in_channels = w[1];
  g.out_channels = w[0] / g.groups;
  g.window = {{y.begin() + 2, y.end()}, {x.begin() + 2, x.end()}, t.window.kernel,
              t.window.strides,         t.window.dilations,       {}};
  for (size_t d = 0; d < t.window.rank(); ++d) g.window.pads.push_back(pad_begin(t, d, x[d + 2], y[d + 2]));
  return g;
}

Status eval_conv_transpose(EvalContext& c) {
  const DType dtype = c.tensor(0).dtype();
  const Tensor x = TRY(widened(c.tensor(0))), w = TRY(widened(c.tensor(1)));
  const Tensor bias = c.has(2) ? TRY(widened(c.tensor(2))) : Tensor();
  Tensor y = TRY(c.allocate(compute_dtype(dtype), static_extents(*c.output_type(0).shape)));
  const ConvolutionGeometry g = TRY(transposed_geometry(c.attrs(), x.extents(), w.extents(), y.extents()));
  visit_compute(dtype, [&]<class T>(Tag<T>) {
    const T* b = bias.defined() ? bias.data<T>().data() : nullptr;
    convolve_back<T>(g, x.data<T>().data(), w.data<T>().data(), b, y.mutable_data<T>().data());
  });
  c.set(TRY(as_dtype(y, dtype)));
  return {};
}

// The convolution that this is the transpose of: pads as numbers, and the extents of the result that the window reaches.
struct Transposed {
  Attributes attrs;
  Shape reached;
};

Result<Transposed> convolution_of(const VjpContext& c, const Shape& x, const Shape& w) {
  const std::optional<Window> window = TRY(convolution_window(c.attrs(), w));
  if (!window) return unsupported("the gradient of a transposed convolution needs weights of known extents");
  const TransposedWindow t = TRY(complete(c.attrs(), *window));
  std::vector<int64_t> pads(2 * t.window.rank(), 0);
  Shape reached = TRY(known_shape(c.output(), "the result"));
  for (size_t d = 0; d < t.window.rank(); ++d) {
    const Dim full = t.full(d, x[d + 2]), output = TRY(output_extent(t, d, x[d + 2]));
    const Dim total = full - output;
    if (!total.is_constant())
      return unsupported("the gradient of a transposed convolution needs pads that do not depend on symbols");
    const bool fixed = t.output_shape.empty() && t.window.auto_pad == AutoPad::kNotSet;
    const int64_t split = std::max<int64_t>(0, total.constant());
    const int64_t begin = fixed ? t.window.pads_begin[d]
                                : (t.window.auto_pad == AutoPad::kSameUpper ? split / 2 : split - split / 2);
    int64_t end = total.constant() - begin;
    // The convolution gives back the input's extent as long as output_padding adds less than a stride: it
    // rounds down. Else what lies behind the last window is cut off first.
    if (t.output_padding[d] >= t.window.strides[d] || end < 0) {
      end -= t.output_padding[d];
      if (end < 0) reached[d + 2] = full - (t.output_padding[d] + begin);
    }
    pads[d] = begin;
    pads[d + t.window.rank()] = std::max<int64_t>(0, end);
  }
  Attributes attrs{{"pads", pads},
                   {"strides", t.window.strides},
                   {"dilations", t.window.dilations},
                   {"kernel_shape", t.window.kernel},
                   {"group", c.attrs().integer("group")}};
  return Transposed{std::move(attrs), std::move(reached)};
}

Status conv_transpose_vjp(VjpContext& c) {
  Value *x = c.operand(0), *w = c.operand(1), *dy = c.gradient();
  const Shape shape = TRY(known_shape(x, "the input"));
  const auto [attrs, reached] = TRY(convolution_of(c, shape, TRY(known_shape(w, "the weights"))));
  Value* seen = dy;
  if (reached != *c.output()->type.shape) seen = c.b.op("Slice", {dy, c.b.ints(std::vector<int64_t>(reached.size(), 0)), c.b.dims(reached)});
  if (c.wants(0)) c.set(0, c.b.op("Conv", {seen, w}, attrs));
  if (c.wants(1)) c.set(1, c.b.op("ConvWeightGradient", {seen, x}, attrs));
  if (c.wants(2)) {
    std::vector<int64_t> axes{0};
    for (size_t d = 2; d < shape.size(); ++d) axes.push_back(static_cast<int64_t>(d));
    c.set(2, c.b.reduce_sum(dy, axes, false));
  }
  return c.b.status();
}

}  // namespace

constinit const StructuredOp ops::ConvTranspose = {.inputs = {2, 3},
                                                   .outputs = {1, 1},
                                                   .attrs = kConvTransposeAttrs,
                                                   .infer = infer_conv_transpose,
                                                   .eval = eval_conv_transpose,
                                                   .flops = conv_transpose_flops};
constinit const GradientRule gradients::ConvTranspose = {.vjp = conv_transpose_vjp};

}  // namespace gannet
