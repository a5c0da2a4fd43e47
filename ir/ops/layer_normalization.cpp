// Normalization within one sample: over trailing dimensions (layer, RMS), over the pixels of a channel
// (instance), or over a group of channels.
#include <algorithm>
#include <cmath>

#include "ir/ops/element_copy.h"
#include "ir/ops/float_compute.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/flops.h"
#include "ir/ops/ops.h"
#include "ir/ops/standardize.h"

namespace gannet {
namespace {

constexpr AttrDef kLayerAttrs[] = {int_attr("axis", -1), float_attr("epsilon", 1e-5f),
                                   int_attr("stash_type", 1)};
constexpr AttrDef kInstanceAttrs[] = {float_attr("epsilon", 1e-5f)};
constexpr AttrDef kGroupAttrs[] = {float_attr("epsilon", 1e-5f), required_attr("num_groups", AttrKind::kInt),
                                   int_attr("stash_type", 1)};
constexpr AttrDef kMeanVarianceAttrs[] = {optional_attr("axes", AttrKind::kInts)};

double epsilon_of(const Attributes& attrs) { return static_cast<double>(attrs.number("epsilon")); }

// Operand i broadcasts to the shape of operand 0 without stretching it.
Status expect_broadcasts_to_first(const InferContext& c, size_t i, std::string_view role) {
  TRY(expect_float(c, i, role));
  if (!c.shape(0) || !c.shape(i)) return {};
  const Shape &to = *c.shape(0), &from = *c.shape(i);
  bool fits = from.size() <= to.size();
  for (size_t d = 0; fits && d < from.size(); ++d) {
    const Dim &a = from[d], &b = to[to.size() - from.size() + d];
    if (a.is_constant() && b.is_constant() && a != b && !a.is_constant(1)) fits = false;
  }
  if (fits) return {};
  return invalid_model(fmt::format("input {} ({}) of shape {} does not broadcast to {}", i, role,
                                   to_string(std::span<const Dim>(from)),
                                   to_string(std::span<const Dim>(to))));
}

Result<DType> stash_dtype(const Attributes& attrs) {
  int64_t stash = attrs.integer("stash_type");
  if (is_known_dtype(stash) && is_float(static_cast<DType>(stash))) return static_cast<DType>(stash);
  return invalid_model(fmt::format("stash_type must be a float type (1, 10, 11 or 16), got {}", stash));
}

Status infer_layer(InferContext& c) {
  TRY(expect_tensors(c, 2));
  TRY(expect_float(c, 0, "X"));
  TRY(expect_broadcasts_to_first(c, 1, "Scale"));
  if (c.has(2)) TRY(expect_broadcasts_to_first(c, 2, "B"));
  DType stash = TRY(stash_dtype(c.attrs()));
  c.set(0, c.type(0));
  std::optional<Shape> statistics;
  if (c.shape(0)) {
    statistics = *c.shape(0);
    int64_t axis = TRY(normalize_axis(c.attrs().integer("axis"), c.type(0).rank()));
    for (size_t i = static_cast<size_t>(axis); i < statistics->size(); ++i) (*statistics)[i] = 1;
  }
  c.set_tensor(1, stash, statistics);
  c.set_tensor(2, stash, statistics);
  return {};
}

Status infer_rms(InferContext& c) {
  TRY(expect_tensors(c, 2));
  TRY(expect_float(c, 0, "X"));
  TRY(expect_broadcasts_to_first(c, 1, "scale"));
  TRY(stash_dtype(c.attrs()));
  if (c.shape(0)) TRY(normalize_axis(c.attrs().integer("axis"), c.type(0).rank()));
  c.set_tensor(0, c.dtype(1), c.type(0).shape);
  return {};
}

Status infer_channels(InferContext& c) {
  TRY(expect_tensors(c, 3));
  for (size_t i = 0; i < 3; ++i) TRY(expect_float(c, i, i == 0 ? "X" : i == 1 ? "scale" : "bias"));
  const Shape* shape = c.shape(0);
  if (shape && shape->size() < 2) {
    return invalid_model(fmt::format("input 0 (X) must have a rank of 2 or more, got {}", shape->size()));
  }
  std::optional<Dim> channels;
  if (shape) channels = (*shape)[1];
  TRY(expect_channels(c, 1, "scale", channels));
  TRY(expect_channels(c, 2, "bias", channels));
  c.set(0, c.type(0));
  return {};
}

Status infer_group(InferContext& c) {
  TRY(infer_channels(c));
  TRY(stash_dtype(c.attrs()));
  int64_t groups = c.attrs().integer("num_groups");
  if (groups < 1) return invalid_model(fmt::format("num_groups must be positive, got {}", groups));
  if (!c.shape(0) || !(*c.shape(0))[1].is_constant()) return {};
  int64_t channels = (*c.shape(0))[1].constant();
  if (channels % groups != 0)
    return invalid_model(fmt::format("num_groups {} does not divide {} channels", groups, channels));
  return {};
}

struct Moments {
  double mean = 0;
  double deviation_inverse = 0;
};

// Mean and 1 / sqrt(variance + epsilon) of a row; not centered, the mean is 0 and the mean square takes the
// place of the variance.
template <class T>
Moments moments_of(const T* x, int64_t length, double epsilon, bool centered) {
  Moments m;
  if (centered) {
    for (int64_t i = 0; i < length; ++i) m.mean += static_cast<double>(x[i]);
    m.mean /= static_cast<double>(length);
  }
  double squares = 0;
  for (int64_t i = 0; i < length; ++i) {
    double deviation = static_cast<double>(x[i]) - m.mean;
    squares += deviation * deviation;
  }
  m.deviation_inverse = 1 / std::sqrt(squares / static_cast<double>(length) + epsilon);
  return m;
}

// Standardizes `rows` rows of x in place; keep(row, moments) may note the statistics.
template <class Keep>
void standardize_rows(Tensor& x, int64_t rows, double epsilon, bool centered, Keep keep) {
  if (x.elements() == 0) return;
  int64_t length = x.elements() / rows;
  visit_compute(x.dtype(), [&]<class T>(Tag<T>) {
    T* data = x.mutable_data<T>().data();
    for (int64_t r = 0; r < rows; ++r, data += length) {
      Moments m = moments_of(data, length, epsilon, centered);
      T mean = static_cast<T>(m.mean), factor = static_cast<T>(m.deviation_inverse);
      for (int64_t i = 0; i < length; ++i) data[i] = (data[i] - mean) * factor;
      keep(r, m);
    }
  });
}

// `tensor` of dtype `dtype` broadcast to `extents`.
Result<Tensor> broadcast_to(EvalContext& c, const Tensor& tensor, DType dtype,
                            const std::vector<int64_t>& extents) {
  Tensor source = TRY(as_dtype(tensor, dtype));
  Tensor target = TRY(c.allocate(dtype, extents));
  if (target.elements() == 0) return target;
  StridedWalk walk{extents, std::vector<int64_t>(extents.size(), 0), row_major_strides(extents), 0, 0};
  std::vector<int64_t> strides = row_major_strides(source.extents());
  size_t added = extents.size() - strides.size();
  for (size_t i = 0; i < strides.size(); ++i) {
    if (source.extents()[i] != 1) walk.source_strides[added + i] = strides[i];
  }
  copy_strided(source, target, walk);
  return target;
}

// Operand i as a factor or summand of y: broadcast over the dimensions from `axis` on, or over all where it
// varies before them. The result repeats along y.
Result<Tensor> parameter(EvalContext& c, size_t i, const Tensor& y, int64_t axis) {
  Tensor p = c.tensor(i);
  std::vector<int64_t> trimmed = p.extents();
  while (!trimmed.empty() && trimmed[0] == 1) trimmed.erase(trimmed.begin());
  p = p.reshaped(trimmed);
  std::vector<int64_t> period(y.extents().begin() + axis, y.extents().end());
  if (trimmed.size() > period.size()) period = y.extents();
  return broadcast_to(c, p, y.dtype(), period);
}

// y = y * scale + bias, where both repeat along y; `bias` may be undefined.
void scale_and_shift(Tensor& y, const Tensor& scale, const Tensor& bias) {
  visit_compute(y.dtype(), [&]<class T>(Tag<T>) {
    auto values = y.mutable_data<T>();
    if (values.empty()) return;
    auto factors = scale.data<T>();
    size_t period = factors.size();
    for (size_t start = 0; start < values.size(); start += period) {
      for (size_t i = 0; i < period; ++i) values[start + i] *= factors[i];
      if (!bias.defined()) continue;
      auto shifts = bias.data<T>();
      if (shifts.size() == period) {
        for (size_t i = 0; i < period; ++i) values[start + i] += shifts[i];
      } else {
        for (size_t i = 0; i < period; ++i) values[start + i] += shifts[(start + i) % shifts.size()];
      }
    }
  });
}

int64_t product(std::span<const int64_t> extents) { return checked_product(extents).value_or(0); }

Status eval_layer(EvalContext& c) {
  Tensor y = TRY(widened(c.tensor(0)));
  int64_t axis = TRY(normalize_axis(c.attrs().integer("axis"), y.rank()));
  std::vector<int64_t> extents = y.extents();
  int64_t rows = product(std::span(extents).first(static_cast<size_t>(axis)));
  std::fill(extents.begin() + axis, extents.end(), 1);
  Tensor mean = TRY(c.allocate(DType::kF64, extents));
  Tensor deviation_inverse = TRY(c.allocate(DType::kF64, extents));
  auto means = mean.mutable_data<double>();
  auto inverses = deviation_inverse.mutable_data<double>();
  std::fill(means.begin(), means.end(), std::nan(""));
  std::fill(inverses.begin(), inverses.end(), std::nan(""));
  standardize_rows(y, rows, epsilon_of(c.attrs()), true, [&](int64_t r, const Moments& m) {
    means[static_cast<size_t>(r)] = m.mean;
    inverses[static_cast<size_t>(r)] = m.deviation_inverse;
  });
  Tensor scale = TRY(parameter(c, 1, y, axis));
  Tensor bias = c.has(2) ? TRY(parameter(c, 2, y, axis)) : Tensor();
  scale_and_shift(y, scale, bias);
  c.set(TRY(as_dtype(y, c.tensor(0).dtype())));
  DType stash = TRY(stash_dtype(c.attrs()));
  if (c.output_count() > 1) c.set(1, TRY(as_dtype(mean, stash)));
  if (c.output_count() > 2) c.set(2, TRY(as_dtype(deviation_inverse, stash)));
  return {};
}

Status eval_rms(EvalContext& c) {
  Tensor y = TRY(widened(c.tensor(0)));
  int64_t axis = TRY(normalize_axis(c.attrs().integer("axis"), y.rank()));
  int64_t rows = product(std::span(y.extents()).first(static_cast<size_t>(axis)));
  standardize_rows(y, rows, epsilon_of(c.attrs()), false, [](int64_t, const Moments&) {});
  scale_and_shift(y, TRY(parameter(c, 1, y, axis)), Tensor());
  c.set(TRY(as_dtype(y, c.tensor(1).dtype())));
  return {};
}

// Each sample's channels in `groups` groups of neighbours; scale and bias a channel.
Status eval_groups(EvalContext& c, int64_t groups) {
  Tensor y = TRY(widened(c.tensor(0)));
  int64_t channels = y.extent(1);
  standardize_rows(y, y.extent(0) * groups, epsilon_of(c.attrs()), true, [](int64_t, const Moments&) {});
  Tensor scale = TRY(as_dtype(c.tensor(1), y.dtype())), bias = TRY(as_dtype(c.tensor(2), y.dtype()));
  if (y.elements() > 0) {
    int64_t planes = y.extent(0) * channels, size = y.elements() / planes;
    visit_compute(y.dtype(), [&]<class T>(Tag<T>) {
      T* values = y.mutable_data<T>().data();
      for (int64_t p = 0; p < planes; ++p, values += size) {
        T factor = scale.data<T>()[static_cast<size_t>(p % channels)];
        T shift = bias.data<T>()[static_cast<size_t>(p % channels)];
        for (int64_t i = 0; i < size; ++i) values[i] = values[i] * factor + shift;
      }
    });
  }
  c.set(TRY(as_dtype(y, c.tensor(0).dtype())));
  return {};
}

Status eval_instance(EvalContext& c) { return eval_groups(c, c.tensor(0).extent(1)); }
Status eval_group(EvalContext& c) { return eval_groups(c, c.attrs().integer("num_groups")); }

std::vector<int64_t> range(int64_t first, int64_t end) {
  std::vector<int64_t> numbers;
  for (int64_t i = first; i < end; ++i) numbers.push_back(i);
  return numbers;
}

// What the mean and the inverse of the deviation, where they are results too, add to the gradient of x.
Value* statistics_gradient(VjpContext& c, const Standardized& s, const std::vector<int64_t>& axes, DType dtype) {
  GraphBuilder& b = c.b;
  Value* sum = nullptr;
  if (c.gradient(1)) sum = b.cast(c.gradient(1), dtype);
  if (c.gradient(2)) {
    ScalarExpr inverse = ScalarExpr::arg(0), normalized = ScalarExpr::arg(1), g = ScalarExpr::arg(2);
    Value* part = b.map(-g * inverse * inverse * normalized, {s.deviation_inverse, s.normalized, b.cast(c.gradient(2), dtype)});
    sum = sum ? b.add(sum, part) : part;
  }
  if (!sum) return nullptr;
  // Each of n elements has the n-th part in a mean.
  Dim count = 1;
  for (int64_t axis : axes) count = count * (*s.normalized->type.shape)[static_cast<size_t>(axis)];
  return b.div(sum, b.cast(b.squeeze(b.dims({count}), {0}), dtype));
}

// Of y = standardized(x) * scale [+ bias] over the dimensions from the attribute `axis` on.
Status trailing_vjp(VjpContext& c, bool centered) {
  GraphBuilder& b = c.b;
  Value* x = c.operand(0);
  Shape shape = TRY(known_shape(x, "X"));
  int64_t rank = static_cast<int64_t>(shape.size());
  std::vector<int64_t> axes = range(TRY(normalize_axis(c.attrs().integer("axis"), rank)), rank);
  DType dtype = compute_dtype(x->type.dtype);
  Standardized s = standardize(b, b.cast(x, dtype), axes, epsilon_of(c.attrs()), centered);
  Value* dx = statistics_gradient(c, s, axes, dtype);
  if (!c.gradient()) {
    c.set(0, b.cast(b.expand(dx, shape), x->type.dtype));
    return b.status();
  }
  Value* dy = b.cast(c.gradient(), dtype);
  Value* through = standardize_gradient(b, s, b.mul(dy, b.cast(c.operand(1), dtype)), axes);
  c.set(0, b.cast(dx ? b.add(through, dx) : through, x->type.dtype));
  auto set_parameter = [&](size_t i, Value* gradient) -> Status {
    Shape to = TRY(known_shape(c.operand(i), "parameter"));
    c.set(i, b.cast(b.sum_to(gradient, to), c.operand(i)->type.dtype));
    return {};
  };
  TRY(set_parameter(1, b.mul(dy, s.normalized)));
  if (c.operand(2)) TRY(set_parameter(2, dy));
  return b.status();
}

Status layer_vjp(VjpContext& c) { return trailing_vjp(c, true); }
Status rms_vjp(VjpContext& c) { return trailing_vjp(c, false); }

// Of instance and group normalization: x seen as [batch, groups, channels of a group, pixels...].
Status groups_vjp(VjpContext& c, const Dim& groups, const Shape& shape) {
  GraphBuilder& b = c.b;
  Value* x = c.operand(0);
  DType dtype = compute_dtype(x->type.dtype);
  Shape grouped = shape;
  grouped[1] = floordiv(shape[1], groups);
  grouped.insert(grouped.begin() + 1, groups);
  int64_t rank = static_cast<int64_t>(shape.size());
  std::vector<int64_t> pixels = range(2, rank), others = pixels, axes = range(2, rank + 1);
  others.insert(others.begin(), 0);
  Value* dy = b.cast(c.gradient(), dtype);
  Value* scale = b.cast(c.operand(1), dtype);
  Value* upstream = b.mul(dy, pixels.empty() ? scale : b.unsqueeze(scale, range(1, rank - 1)));
  Standardized s = standardize(b, b.reshape(b.cast(x, dtype), grouped), axes, epsilon_of(c.attrs()), true);
  Value* dx = standardize_gradient(b, s, b.reshape(upstream, grouped), axes);
  c.set(0, b.cast(b.reshape(dx, shape), x->type.dtype));
  Value* dscale = b.reduce_sum(b.mul(dy, b.reshape(s.normalized, shape)), others, false);
  c.set(1, b.cast(dscale, c.operand(1)->type.dtype));
  c.set(2, b.cast(b.reduce_sum(dy, others, false), c.operand(2)->type.dtype));
  return b.status();
}

Status instance_vjp(VjpContext& c) {
  Shape shape = TRY(known_shape(c.operand(0), "X"));
  return groups_vjp(c, shape[1], shape);
}

Status group_vjp(VjpContext& c) {
  return groups_vjp(c, c.attrs().integer("num_groups"), TRY(known_shape(c.operand(0), "X")));
}

// (x - mean) / (deviation + 1e-9); the summand is that of ONNX's definition.
Status decompose_mean_variance(DecomposeContext& c) {
  std::vector<int64_t> axes =
      c.attrs().has("axes") ? c.attrs().integers("axes") : std::vector<int64_t>{0, 2, 3};
  Value* x = c.operand(0);
  Value* centered = c.b.sub(x, c.b.reduce_mean(x, axes, true));
  Value* variance = c.b.reduce_mean(c.b.mul(centered, centered), axes, true);
  c.set(0, c.b.map(ScalarExpr::arg(0) / (scalar::sqrt(ScalarExpr::arg(1)) + 1e-9), {centered, variance}));
  return {};
}

}  // namespace

constinit const StructuredOp ops::LayerNormalization = {.inputs = {2, 3},
                                                        .outputs = {1, 3},
                                                        .attrs = kLayerAttrs,
                                                        .infer = infer_layer,
                                                        .eval = eval_layer, .flops = one_per_operand_element};
constinit const GradientRule gradients::LayerNormalization = {.vjp = layer_vjp};
constinit const StructuredOp ops::RMSNormalization = {.inputs = {2, 2},
                                                      .outputs = {1, 1},
                                                      .attrs = kLayerAttrs,
                                                      .infer = infer_rms,
                                                      .eval = eval_rms, .flops = one_per_operand_element};
constinit const GradientRule gradients::RMSNormalization = {.vjp = rms_vjp};
constinit const StructuredOp ops::InstanceNormalization = {.inputs = {3, 3},
                                                           .outputs = {1, 1},
                                                           .attrs = kInstanceAttrs,
                                                           .infer = infer_channels,
                                                           .eval = eval_instance, .flops = one_per_operand_element};
constinit const GradientRule gradients::InstanceNormalization = {.vjp = instance_vjp};
constinit const StructuredOp ops::GroupNormalization = {.inputs = {3, 3},
                                                        .outputs = {1, 1},
                                                        .attrs = kGroupAttrs,
                                                        .infer = infer_group,
                                                        .eval = eval_group, .flops = one_per_operand_element};
constinit const GradientRule gradients::GroupNormalization = {.vjp = group_vjp};
constinit const StructuredOp ops::MeanVarianceNormalization = {
    .inputs = {1, 1}, .outputs = {1, 1}, .attrs = kMeanVarianceAttrs, .decompose = decompose_mean_variance};

}  // namespace gannet
