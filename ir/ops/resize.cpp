#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ir/ops/float_compute.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"
#include "ir/ops/resize_axis.h"
#include "ir/vjp.h"

namespace gannet {
namespace {

constexpr AttrDef kResizeAttrs[] = {int_attr("antialias", 0),
                                    optional_attr("axes", AttrKind::kInts),
                                    string_attr("coordinate_transformation_mode", "half_pixel"),
                                    float_attr("cubic_coeff_a", -0.75f),
                                    int_attr("exclude_outside", 0),
                                    float_attr("extrapolation_value", 0.0f),
                                    string_attr("keep_aspect_ratio_policy", "stretch"),
                                    string_attr("mode", "nearest"),
                                    string_attr("nearest_mode", "round_prefer_floor")};

enum Operand : size_t { kInput, kRoi, kScales, kSizes, kExtents };

Status check_attributes(const InferContext& c) {
  TRY(expect_choice(c, "coordinate_transformation_mode",
                    {"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners",
                     "asymmetric", "tf_crop_and_resize", "tf_half_pixel_for_nn"}));
  TRY(expect_choice(c, "mode", {"nearest", "linear", "cubic"}));
  TRY(expect_choice(c, "nearest_mode", {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"}));
  TRY(expect_choice(c, "keep_aspect_ratio_policy", {"stretch", "not_larger", "not_smaller"}));
  const std::string_view mode = c.attrs().text("mode");
  const DType t = c.dtype(kInput);
  if (mode != "nearest" && (t == DType::kString || t == DType::kBool || is_complex(t))) {
    return invalid_model(fmt::format("mode {} does not apply to {}", mode, name_of(t)));
  }
  if (mode == "nearest" && c.attrs().integer("antialias") != 0) {
    return invalid_model("antialias does not apply to mode nearest");
  }
  return {};
}

// Whether an optional list is given; older models pass an empty one for "absent".
bool is_given(const InferContext& c, size_t i) {
  return c.has(i) && list_length(c, i) != std::optional<int64_t>(0);
}
bool is_given(const EvalContext& c, size_t i) { return c.has(i) && c.tensor(i).elements() > 0; }

// The axes that scales, sizes and roi speak of, in their order.
Result<std::vector<int64_t>> resized_axes(const Attributes& attrs, int64_t rank) {
  if (attrs.has("axes")) return ordered_axes(attrs.integers("axes"), rank);
  std::vector<int64_t> axes(static_cast<size_t>(rank));
  std::iota(axes.begin(), axes.end(), int64_t{0});
  return axes;
}

// floor(extent * scale). A scale such as 1.5 or float(1/3) is taken as the ratio it stands for, so that
// symbolic and known extents agree and no rounding decides.
std::optional<Dim> scaled_dim(const Dim& extent, float scale) {
  constexpr int64_t kMostDenominator = 1024;
  for (int64_t q = 1; q <= kMostDenominator; ++q) {
    const float p = std::round(scale * static_cast<float>(q));
    if (p >= 1 && p < 1e6f && p / static_cast<float>(q) == scale)
      return floordiv(extent * static_cast<int64_t>(p), q);
  }
  if (!extent.is_constant()) return std::nullopt;
  const double product = std::floor(static_cast<double>(static_cast<float>(extent.constant()) * scale));
  return Dim(saturating_cast<int64_t>(std::min(product, 1e15)));
}

Status infer_from_scales(InferContext& c, const std::vector<int64_t>& axes, Shape& shape) {
  const Tensor* scales = c.constant(kScales);
  for (size_t i = 0; i < axes.size(); ++i) {
    Dim& dim = shape[static_cast<size_t>(axes[i])];
    if (!scales) {
      dim = c.fresh("resized");
      continue;
    }
    const float scale = static_cast<float>(scales->double_at(static_cast<int64_t>(i)));
    if (!(scale > 0) || !std::isfinite(scale))
      return invalid_model(fmt::format("scale {} of axis {} is not positive", scale, axes[i]));
    const std::optional<Dim> scaled = scaled_dim(dim, scale);
    dim = scaled ? *scaled : c.fresh("resized");
  }
  return {};
}

// The common scale of all axes that keeps the aspect ratio.
double aspect_scale(std::string_view policy, const std::vector<int64_t>& axes, std::span<const int64_t> sizes,
                    std::span<const int64_t> extents) {
  double scale = 0;
  for (size_t i = 0; i < axes.size(); ++i) {
    const double one =
        static_cast<double>(sizes[i]) / static_cast<double>(extents[static_cast<size_t>(axes[i])]);
    if (i == 0)
      scale = one;
    else
      scale = policy == "not_larger" ? std::min(scale, one) : std::max(scale, one);
  }
  return scale;
}

Status infer_from_sizes(InferContext& c, const std::vector<int64_t>& axes, Shape& shape) {
  const std::optional<std::vector<Dim>> sizes = c.contents(kSizes);
  const std::string_view policy = c.attrs().text("keep_aspect_ratio_policy");
  for (size_t i = 0; sizes && i < axes.size(); ++i) {
    if ((*sizes)[i].is_constant() && (*sizes)[i].constant() < 0) {
      return invalid_model(fmt::format("size {} of axis {} is negative", (*sizes)[i].to_string(), axes[i]));
    }
  }
  const bool known = sizes && is_static(*sizes) && is_static(shape);
  double scale = 0;
  if (policy != "stretch" && known) {
    const std::vector<int64_t> extents = static_extents(shape);
    for (int64_t axis : axes) {
      if (extents[static_cast<size_t>(axis)] == 0)
        return invalid_model(fmt::format("axis {} to resize is empty", axis));
    }
    scale = aspect_scale(policy, axes, static_extents(*sizes), extents);
  }
  for (size_t i = 0; i < axes.size(); ++i) {
    Dim& dim = shape[static_cast<size_t>(axes[i])];
    if (policy == "stretch")
      dim = sizes ? (*sizes)[i] : c.fresh("resized");
    else if (known)
      dim = Dim(saturating_cast<int64_t>(
          std::min(std::floor(scale * static_cast<double>(dim.constant()) + 0.5), 1e15)));
    else
      dim = c.fresh("resized");
  }
  return {};
}

Status check_list(const InferContext& c, size_t i, std::string_view role, size_t expected) {
  TRY(expect_list(c, i, role));
  const std::optional<int64_t> length = list_length(c, i);
  if (!length || *length == static_cast<int64_t>(expected)) return {};
  return invalid_model(
      fmt::format("input {} ({}) has {} elements where {} are expected", i, role, *length, expected));
}

Status infer_resize(InferContext& c) {
  TRY(expect_tensors(c, 1));
  TRY(check_attributes(c));
  const bool with_scales = is_given(c, kScales), with_sizes = is_given(c, kSizes);
  if (!with_scales && !with_sizes) return invalid_model("needs scales or sizes");
  // f64 in a graph that was widened.
  if (with_scales && c.dtype(kScales) != DType::kF64) TRY(expect_dtype(c, kScales, DType::kF32, "scales"));
  if (with_sizes) TRY(expect_dtype(c, kSizes, DType::kI64, "sizes"));
  const Shape* x = c.shape(kInput);
  c.set_tensor(0, c.dtype(kInput), std::nullopt);
  if (!x) return {};
  const std::vector<int64_t> axes = TRY(resized_axes(c.attrs(), static_cast<int64_t>(x->size())));
  if (with_scales) TRY(check_list(c, kScales, "scales", axes.size()));
  if (with_sizes) TRY(check_list(c, kSizes, "sizes", axes.size()));
  const bool crops = c.attrs().text("coordinate_transformation_mode") == "tf_crop_and_resize";
  if (crops && !is_given(c, kRoi)) return invalid_model("tf_crop_and_resize needs a roi");
  if (crops) {
    TRY(expect_float(c, kRoi, "roi"));
    TRY(check_list(c, kRoi, "roi", 2 * axes.size()));
  }
  Shape shape = *x;
  TRY(with_sizes ? infer_from_sizes(c, axes, shape) : infer_from_scales(c, axes, shape));
  for (int64_t axis : axes) {
    const Dim &before = (*x)[static_cast<size_t>(axis)], &after = shape[static_cast<size_t>(axis)];
    if (before.is_constant(0) && after.is_constant() && !after.is_constant(0)) {
      return invalid_model(
          fmt::format("axis {} is empty and cannot be resized to {}", axis, after.to_string()));
    }
  }
  c.set_tensor(0, c.dtype(kInput), std::move(shape));
  return {};
}

// One entry an axis of the input.
Result<std::vector<ResizeAxis>> plan_axes(const EvalContext& c, std::span<const int64_t> input, std::span<const int64_t> output) {
  const std::vector<int64_t> axes = TRY(resized_axes(c.attrs(), static_cast<int64_t>(input.size())));
  std::vector<ResizeAxis> plan;
  for (size_t d = 0; d < output.size(); ++d) plan.push_back({input[d], output[d], 1, 0, 1});
  const bool with_sizes = is_given(c, kSizes);
  float common = 0;
  const std::string_view policy = c.attrs().text("keep_aspect_ratio_policy");
  if (with_sizes && policy != "stretch") {
    common = static_cast<float>(aspect_scale(policy, axes, c.tensor(kSizes).data<int64_t>(), input));
  }
  Tensor roi;
  if (c.attrs().text("coordinate_transformation_mode") == "tf_crop_and_resize")
    roi = TRY(as_dtype(c.tensor(kRoi), DType::kF32));
  for (size_t i = 0; i < axes.size(); ++i) {
    ResizeAxis& axis = plan[static_cast<size_t>(axes[i])];
    if (!with_sizes)
      axis.scale = static_cast<float>(c.tensor(kScales).double_at(static_cast<int64_t>(i)));
    else
      axis.scale = common > 0 ? common : static_cast<float>(axis.output) / static_cast<float>(axis.input);
    if (!roi.defined()) continue;
    axis.roi_start = roi.data<float>()[i];
    axis.roi_end = roi.data<float>()[axes.size() + i];
  }
  return plan;
}

// Where the elements along each axis come from, for nearest; the last axes that stay are moved as one run.
struct Gathering {
  std::vector<Tensor> coordinates;
  std::vector<int64_t> input_strides;
  std::vector<int64_t> output_strides;
  int64_t run = 1;
};

template <class T>
void gather(const Gathering& g, size_t axis, const T* input, T* output, const T& outside) {
  if (axis == g.coordinates.size()) {
    std::copy_n(input, g.run, output);
    return;
  }
  const std::span<const int64_t> from = g.coordinates[axis].data<int64_t>();
  const int64_t input_stride = g.input_strides[axis], output_stride = g.output_strides[axis];
  const bool last = axis + 1 == g.coordinates.size() && g.run == 1;
  for (size_t o = 0; o < from.size(); ++o) {
    T* to = output + static_cast<int64_t>(o) * output_stride;
    if (from[o] < 0)
      std::fill_n(to, output_stride, outside);
    else if (last)
      *to = input[from[o]];
    else if (o > 0 && from[o] == from[o - 1])
      std::copy_n(to - output_stride, output_stride, to);
    else
      gather(g, axis + 1, input + from[o] * input_stride, to, outside);
  }
}

Status resize_nearest(EvalContext& c, const std::vector<ResizeAxis>& plan) {
  const Tensor& x = c.tensor(kInput);
  Tensor y = TRY(c.allocate());
  if (y.elements() == 0) return c.set(std::move(y)), Status();
  const std::string_view transformation = c.attrs().text("coordinate_transformation_mode");
  size_t moved = plan.size();
  while (moved > 0 && plan[moved - 1].identity(transformation)) --moved;
  Gathering g;
  g.input_strides = row_major_strides(x.extents());
  g.output_strides = row_major_strides(y.extents());
  for (size_t d = 0; d < moved; ++d) {
    g.coordinates.push_back(TRY(c.allocate(DType::kI64, {plan[d].output})));
    nearest_coordinates(plan[d], c.attrs(), g.coordinates.back().mutable_data<int64_t>());
  }
  for (size_t d = moved; d < plan.size(); ++d) g.run *= plan[d].input;
  visit_dtype(x.dtype(), [&]<class T>(Tag<T>) {
    T outside = T();
    if constexpr (!std::is_same_v<T, std::string>) {
      if (c.attrs().number("extrapolation_value") != 0 && !is_complex(x.dtype())) {
        const Tensor value =
            Tensor::scalar_of(x.dtype(), static_cast<double>(c.attrs().number("extrapolation_value")));
        outside = *static_cast<const T*>(value.raw());
      }
    }
    gather(g, 0, x.data<T>().data(), y.mutable_data<T>().data(), outside);
  });
  c.set(std::move(y));
  return {};
}

// Some coordinates of one axis: rows of `inner` elements are added up with the weights.
template <class T>
void interpolate_axis(const AxisView& view, const ResizeWeights& w, int64_t output, T outside, const T* input,
                      T* results) {
  for (int64_t i = 0; i < view.outer; ++i, input += view.length * view.inner) {
    T* result = results + (i * output + w.first) * view.inner;
    for (int64_t o = 0; o < w.outputs; ++o, result += view.inner) {
      const int64_t* index = w.indices.data() + o * w.count;
      const float* weight = w.weights.data() + o * w.count;
      if (index[0] < 0) {
        std::fill_n(result, view.inner, outside);
        continue;
      }
      if (view.inner == 1) {
        T sum = 0;
        for (int64_t k = 0; k < w.count; ++k) sum += static_cast<T>(weight[k]) * input[index[k]];
        *result = sum;
        continue;
      }
      std::fill_n(result, view.inner, T(0));
      for (int64_t k = 0; k < w.count; ++k) {
        const T factor = static_cast<T>(weight[k]);
        if (factor == 0) continue;
        const T* row = input + index[k] * view.inner;
#pragma omp simd
        for (int64_t j = 0; j < view.inner; ++j) result[j] += factor * row[j];
      }
    }
  }
}

Result<Tensor> to_integers(const Tensor& x, DType dtype, Tensor y) {
  visit_dtype(dtype, [&]<class T>(Tag<T>) {
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
      std::span<T> out = y.mutable_data<T>();
      for (int64_t i = 0; i < x.elements(); ++i) {
        out[static_cast<size_t>(i)] = saturating_cast<T>(std::nearbyint(x.double_at(i)));
      }
    }
  });
  return y;
}

Status resize_by_weights(EvalContext& c, const std::vector<ResizeAxis>& plan) {
  const DType dtype = c.tensor(kInput).dtype();
  const bool wide = dtype == DType::kF64 || (is_int(dtype) && element_size(dtype) >= 4);
  const DType compute = wide ? DType::kF64 : DType::kF32;
  Tensor x = TRY(as_dtype(c.tensor(kInput), compute));
  const std::string_view transformation = c.attrs().text("coordinate_transformation_mode");
  std::vector<size_t> order;
  for (size_t d = 0; d < plan.size(); ++d) {
    if (!plan[d].identity(transformation)) order.push_back(d);
  }
  // Axes that shrink come first: no tensor in between is larger than both ends.
  auto growth = [&](size_t d) {
    return static_cast<double>(plan[d].output) / static_cast<double>(plan[d].input);
  };
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return growth(a) < growth(b); });
  if (element_count(*c.output_type(0).shape).is_constant(0)) return c.set(TRY(c.allocate())), Status();
  for (size_t d : order) {
    std::vector<int64_t> extents = x.extents();
    extents[d] = plan[d].output;
    Tensor y = TRY(c.allocate(compute, std::move(extents)));
    // A block of weights at a time: all of a long axis would take many times the memory of the result.
    constexpr int64_t kBlock = 1 << 14;
    for (int64_t first = 0; first < plan[d].output; first += kBlock) {
      const ResizeWeights weights =
          interpolation_weights(plan[d], c.attrs(), first, std::min(kBlock, plan[d].output - first));
      visit_compute(compute, [&]<class T>(Tag<T>) {
        interpolate_axis<T>(view_axis(x.extents(), static_cast<int64_t>(d)), weights, plan[d].output,
                            static_cast<T>(c.attrs().number("extrapolation_value")), x.data<T>().data(),
                            y.mutable_data<T>().data());
      });
    }
    x = std::move(y);
  }
  if (is_int(dtype))
    c.set(TRY(to_integers(x, dtype, TRY(c.allocate()))));
  else
    c.set(TRY(as_dtype(x, dtype)));
  return {};
}

Status eval_resize(EvalContext& c) {
  const std::vector<ResizeAxis> plan = TRY(plan_axes(c, c.tensor(kInput).extents(), static_extents(*c.output_type(0).shape)));
  return c.attrs().text("mode") == "nearest" ? resize_nearest(c, plan) : resize_by_weights(c, plan);
}

// Operands: the gradient of the result, roi, scales, sizes, the extents of the input.
Status infer_resize_gradient(InferContext& c) {
  TRY(expect_tensors(c, 1));
  TRY(expect_float(c, 0, "dy"));
  if (!c.has(kExtents)) return invalid_model("needs the extents of the input");
  TRY(expect_dtype(c, kExtents, DType::kI64, "extents"));
  TRY(expect_list(c, kExtents, "extents"));
  TRY(check_attributes(c));
  const std::optional<int64_t> rank = list_length(c, kExtents);
  std::optional<Shape> shape;
  if (const std::optional<std::vector<Dim>> extents = short_contents(c, kExtents)) shape = *extents;
  else if (rank && *rank <= kMaxContents) shape = fresh_shape(c, *rank, "resized");
  if (shape && c.shape(0) && shape->size() != c.shape(0)->size()) {
    return invalid_model(fmt::format("dy has rank {}, the input has rank {}", c.shape(0)->size(), shape->size()));
  }
  c.set_tensor(0, c.dtype(0), std::move(shape));
  return {};
}

// The adjoint of one axis: what a coordinate of the result took is given back.
template <class T>
void give_back_axis(const AxisView& view, const ResizeWeights& w, int64_t output, const T* gradients, T* sums) {
  for (int64_t i = 0; i < view.outer; ++i, sums += view.length * view.inner) {
    const T* from = gradients + (i * output + w.first) * view.inner;
    for (int64_t o = 0; o < w.outputs; ++o, from += view.inner) {
      const int64_t* index = w.indices.data() + o * w.count;
      if (index[0] < 0) continue;
      for (int64_t k = 0; k < w.count; ++k) {
        const T factor = static_cast<T>(w.weights[static_cast<size_t>(o * w.count + k)]);
        T* row = sums + index[k] * view.inner;
        for (int64_t j = 0; j < view.inner; ++j) row[j] += factor * from[j];
      }
    }
  }
}

// Weights of one for nearest.
ResizeWeights weights_of(const ResizeAxis& axis, const Attributes& attrs) {
  if (attrs.text("mode") != "nearest") return interpolation_weights(axis, attrs, 0, axis.output);
  ResizeWeights w{0, axis.output, 1, std::vector<int64_t>(static_cast<size_t>(axis.output)), {}};
  w.weights.assign(static_cast<size_t>(axis.output), 1.0f);
  nearest_coordinates(axis, attrs, w.indices);
  return w;
}

Status eval_resize_gradient(EvalContext& c) {
  const std::vector<int64_t> input = TRY(inferred_extents(c));
  const DType dtype = c.tensor(0).dtype();
  Tensor g = TRY(widened(c.tensor(0)));
  const std::vector<ResizeAxis> plan = TRY(plan_axes(c, input, g.extents()));
  const bool empty = std::ranges::any_of(input, [](int64_t extent) { return extent == 0; });
  for (size_t d = 0; d < plan.size() && !empty && g.elements() > 0; ++d) {
    if (plan[d].identity(c.attrs().text("coordinate_transformation_mode"))) continue;
    std::vector<int64_t> extents = g.extents();
    extents[d] = plan[d].input;
    Tensor sums = TRY(c.allocate(g.dtype(), extents));
    const ResizeWeights weights = weights_of(plan[d], c.attrs());
    visit_compute(dtype, [&]<class T>(Tag<T>) {
      std::span<T> out = sums.mutable_data<T>();
      std::fill(out.begin(), out.end(), T(0));
      give_back_axis<T>(view_axis(extents, static_cast<int64_t>(d)), weights, plan[d].output, g.data<T>().data(), out.data());
    });
    g = std::move(sums);
  }
  if (g.extents() != input) {
    g = TRY(c.allocate(g.dtype(), input));
    visit_compute(dtype, [&]<class T>(Tag<T>) { std::ranges::fill(g.mutable_data<T>(), T(0)); });
  }
  c.set(TRY(as_dtype(g, dtype)));
  return {};
}

// Only the resized values have a gradient: where to cut (roi) and how far to stretch are settings.
Status resize_vjp(VjpContext& c) {
  if (!c.wants(kInput)) return {};
  const Shape shape = TRY(known_shape(c.operand(kInput), "the input"));
  c.set(kInput, c.b.op("ResizeGradient", {c.gradient(), c.operand(kRoi), c.operand(kScales), c.operand(kSizes), c.b.dims(shape)}, c.attrs()));
  return c.b.status();
}

// Linear: the same resize, with zeros where it extrapolates.
Status resize_gradient_vjp(VjpContext& c) {
  Attributes attrs = c.attrs();
  attrs.erase("extrapolation_value");
  c.set(0, c.b.op("Resize", {c.gradient(), c.operand(kRoi), c.operand(kScales), c.operand(kSizes)}, attrs));
  return c.b.status();
}

}  // namespace

constinit const StructuredOp ops::Resize = {.inputs = {1, 4},
                                            .outputs = {1, 1},
                                            .attrs = kResizeAttrs,
                                            .infer = infer_resize,
                                            .eval = eval_resize};
constinit const GradientRule gradients::Resize = {.vjp = resize_vjp};
constinit const StructuredOp ops::ResizeGradient = {.inputs = {1, 5},
                                                    .outputs = {1, 1},
                                                    .attrs = kResizeAttrs,
                                                    .infer = infer_resize_gradient,
                                                    .eval = eval_resize_gradient};
constinit const GradientRule gradients::ResizeGradient = {.vjp = resize_gradient_vjp};

}  // namespace gannet
