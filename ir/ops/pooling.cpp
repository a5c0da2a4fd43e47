#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "ir/ops/float_compute.h"
#include "ir/ops/flops.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"
#include "ir/ops/window.h"

namespace gannet {
namespace {

constexpr AttrDef kPoolAttrs[] = {
    string_attr("auto_pad", "NOTSET"),           int_attr("ceil_mode", 0),
    optional_attr("dilations", AttrKind::kInts), required_attr("kernel_shape", AttrKind::kInts),
    optional_attr("pads", AttrKind::kInts),      optional_attr("strides", AttrKind::kInts)};
constexpr AttrDef kMaxPoolAttrs[] = {
    string_attr("auto_pad", "NOTSET"),           int_attr("ceil_mode", 0),
    optional_attr("dilations", AttrKind::kInts), required_attr("kernel_shape", AttrKind::kInts),
    optional_attr("pads", AttrKind::kInts),      int_attr("storage_order", 0),
    optional_attr("strides", AttrKind::kInts)};
constexpr AttrDef kAveragePoolAttrs[] = {string_attr("auto_pad", "NOTSET"),
                                         int_attr("ceil_mode", 0),
                                         int_attr("count_include_pad", 0),
                                         optional_attr("dilations", AttrKind::kInts),
                                         required_attr("kernel_shape", AttrKind::kInts),
                                         optional_attr("pads", AttrKind::kInts),
                                         optional_attr("strides", AttrKind::kInts)};
constexpr AttrDef kLpPoolAttrs[] = {string_attr("auto_pad", "NOTSET"),
                                    int_attr("ceil_mode", 0),
                                    optional_attr("dilations", AttrKind::kInts),
                                    required_attr("kernel_shape", AttrKind::kInts),
                                    int_attr("p", 2),
                                    optional_attr("pads", AttrKind::kInts),
                                    optional_attr("strides", AttrKind::kInts)};

// The shape of the result for operand 0, or nothing when its rank is not known.
Result<std::optional<Shape>> pooled_shape(const InferContext& c) {
  const Window window = TRY(read_window(c.attrs(), c.attrs().integers("kernel_shape")));
  TRY(expect_rank(c, 0, static_cast<int64_t>(window.rank()) + 2, "input"));
  const Shape* x = c.shape(0);
  if (!x) return std::optional<Shape>();
  Shape shape{(*x)[0], (*x)[1]};
  for (size_t d = 0; d < window.rank(); ++d) shape.push_back(TRY(window_output(window, d, (*x)[d + 2])));
  return std::optional(std::move(shape));
}

Status infer_pool(InferContext& c) {
  TRY(expect_tensors(c, 1));
  TRY(expect_float(c, 0, "input"));
  c.set_tensor(0, c.dtype(0), TRY(pooled_shape(c)));
  return {};
}

// Operands: the input and the gradient of the output.
Status infer_pool_gradient(InferContext& c) {
  TRY(expect_tensors(c, 2));
  TRY(expect_float(c, 0, "input"));
  TRY(expect_same_dtype(c, 0, 1));
  const std::optional<Shape> output = TRY(pooled_shape(c));
  if (output && c.shape(1)) TRY(merge_shapes(*output, *c.shape(1)));
  c.set_tensor(0, c.dtype(0), c.type(0).shape);
  return {};
}

// What evaluation works on: planes of one batch and channel each.
struct Pool {
  Window window;  // with pads as numbers
  WindowGeometry geometry;
  int64_t planes = 0;
  int64_t input_size = 0;
  int64_t output_size = 0;
};

Result<Pool> pool_of(const Attributes& attrs, std::span<const int64_t> input,
                     std::span<const int64_t> output) {
  Pool pool;
  pool.window = with_pads(TRY(read_window(attrs, attrs.integers("kernel_shape"))), input.subspan(2));
  pool.geometry = geometry_of(pool.window, input.subspan(2), output.subspan(2));
  pool.input_size = pool.geometry.input_size();
  pool.output_size = pool.geometry.output_size();
  const bool empty = std::ranges::any_of(output, [](int64_t extent) { return extent == 0; });
  pool.planes = empty ? 0 : input[0] * input[1];
  return pool;
}

Result<Pool> pool_of(const EvalContext& c) {
  return pool_of(c.attrs(), c.tensor(0).extents(), static_extents(*c.output_type(0).shape));
}

template <class T>
constexpr T lowest() {
  return std::is_floating_point_v<T> ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::lowest();
}

// NaN is the largest: a window that holds one gives NaN.
template <class T>
void max_plane(const WindowGeometry& g, const T* input, T* output) {
  for_each_tap_run(g, [&](const TapRun& run) {
    const T* x = input + run.input;
    T* y = output + run.output;
    if (run.step == 1) {
#pragma omp simd
      for (int64_t i = 0; i < run.count; ++i) y[i] = (x[i] > y[i]) | (x[i] != x[i]) ? x[i] : y[i];
    } else {
      for (int64_t i = 0; i < run.count; ++i) {
        const T value = x[i * run.step];
        y[i] = (value > y[i]) | (value != value) ? value : y[i];
      }
    }
  });
}

// The same with where in the plane each maximum stands: the first of equal ones, -1 for a window of padding
// alone.
template <class T>
void max_plane_indices(const WindowGeometry& g, const T* input, T* output, int64_t* indices) {
  for_each_tap_run(g, [&](const TapRun& run) {
    for (int64_t i = 0; i < run.count; ++i) {
      const int64_t from = run.input + i * run.step, to = run.output + i;
      const T value = input[from];
      const bool taken =
          indices[to] >= 0 && !(value > output[to]) && (value == value || output[to] != output[to]);
      if (taken) continue;
      output[to] = value;
      indices[to] = from;
    }
  });
}

// Indices of a plane counted with the first dimension innermost.
void to_column_major(std::span<const int64_t> extents, int64_t count, int64_t* indices) {
  for (int64_t i = 0; i < count; ++i) {
    if (indices[i] < 0) continue;
    int64_t index = indices[i], result = 0;
    int64_t stride = 1;
    for (int64_t extent : extents) stride *= extent;
    for (size_t d = extents.size(); d-- > 0;) {
      stride /= extents[d];
      result += index % extents[d] * stride;
      index /= extents[d];
    }
    indices[i] = result;
  }
}

Status infer_max_pool(InferContext& c) {
  TRY(expect_tensors(c, 1));
  if (c.dtype(0) != DType::kI8 && c.dtype(0) != DType::kU8) TRY(expect_float(c, 0, "input"));
  const int64_t order = c.attrs().integer("storage_order");
  if (order != 0 && order != 1)
    return invalid_model(fmt::format("storage_order {} is neither 0 nor 1", order));
  std::optional<Shape> shape = TRY(pooled_shape(c));
  c.set_tensor(0, c.dtype(0), shape);
  c.set_tensor(1, DType::kI64, std::move(shape));
  return {};
}

template <class T>
Status max_pool(EvalContext& c, const Tensor& x, DType dtype) {
  const Pool pool = TRY(pool_of(c));
  Tensor y = TRY(c.allocate(x.dtype(), static_extents(*c.output_type(0).shape)));
  const T* in = x.data<T>().data();
  std::span<T> out = y.mutable_data<T>();
  std::fill(out.begin(), out.end(), lowest<T>());
  if (c.output_count() < 2) {
    for (int64_t p = 0; p < pool.planes; ++p) {
      max_plane(pool.geometry, in + p * pool.input_size, out.data() + p * pool.output_size);
    }
    c.set(TRY(as_dtype(y, dtype)));
    return {};
  }
  Tensor indices = TRY(c.allocate(DType::kI64, y.extents()));
  std::span<int64_t> index = indices.mutable_data<int64_t>();
  std::fill(index.begin(), index.end(), int64_t{-1});
  for (int64_t p = 0; p < pool.planes; ++p) {
    int64_t* plane = index.data() + p * pool.output_size;
    max_plane_indices(pool.geometry, in + p * pool.input_size, out.data() + p * pool.output_size, plane);
    if (c.attrs().integer("storage_order") == 1)
      to_column_major(pool.geometry.input, pool.output_size, plane);
    for (int64_t i = 0; i < pool.output_size; ++i) plane[i] += plane[i] < 0 ? 0 : p * pool.input_size;
  }
  c.set(0, TRY(as_dtype(y, dtype)));
  c.set(1, std::move(indices));
  return {};
}

Status eval_max_pool(EvalContext& c) {
  const Tensor& x = c.tensor(0);
  if (x.dtype() == DType::kI8) return max_pool<int8_t>(c, x, x.dtype());
  if (x.dtype() == DType::kU8) return max_pool<uint8_t>(c, x, x.dtype());
  const Tensor wide = TRY(widened(x));
  return visit_compute(x.dtype(), [&]<class T>(Tag<T>) { return max_pool<T>(c, wide, x.dtype()); });
}

// Each gradient goes to the first of the largest elements of its window.
Status eval_max_pool_gradient(EvalContext& c) {
  const DType dtype = c.tensor(0).dtype();
  const Tensor x = TRY(widened(c.tensor(0))), dy = TRY(widened(c.tensor(1)));
  const Pool pool = TRY(pool_of(c.attrs(), x.extents(), dy.extents()));
  Tensor dx = TRY(c.allocate(compute_dtype(dtype), x.extents()));
  visit_compute(dtype, [&]<class T>(Tag<T>) {
    std::span<T> out = dx.mutable_data<T>();
    std::fill(out.begin(), out.end(), T(0));
    std::vector<T> largest;
    std::vector<int64_t> indices;
    for (int64_t p = 0; p < pool.planes; ++p) {
      largest.assign(static_cast<size_t>(pool.output_size), lowest<T>());
      indices.assign(static_cast<size_t>(pool.output_size), -1);
      max_plane_indices(pool.geometry, x.data<T>().data() + p * pool.input_size, largest.data(),
                        indices.data());
      const T* gradient = dy.data<T>().data() + p * pool.output_size;
      for (int64_t i = 0; i < pool.output_size; ++i) {
        const int64_t index = indices[static_cast<size_t>(i)];
        if (index >= 0) out[static_cast<size_t>(p * pool.input_size + index)] += gradient[i];
      }
    }
  });
  c.set(TRY(as_dtype(dx, dtype)));
  return {};
}

// For each dimension and window, how many of its elements count: those inside the input, or inside the padded
// input.
std::vector<std::vector<int64_t>> window_counts(const Pool& pool, bool with_padding) {
  WindowGeometry g = pool.geometry;
  std::vector<std::vector<int64_t>> counts(g.rank());
  for (size_t d = 0; d < g.rank(); ++d) {
    if (with_padding) {
      g.input[d] += pool.window.pads_begin[d] + pool.window.pads_end[d];
      g.pads[d] = 0;
    }
    for (int64_t o = 0; o < g.output[d]; ++o) {
      const IndexRange taps = taps_inside(g, d, o);
      counts[d].push_back(std::max<int64_t>(1, taps.end - taps.begin));
    }
  }
  return counts;
}

// 1 / (number of elements) of each window of a plane, row-major.
template <class T>
std::vector<T> window_weights(const Pool& pool, bool with_padding) {
  const std::vector<std::vector<int64_t>> counts = window_counts(pool, with_padding);
  std::vector<T> weights{T(1)};
  for (const std::vector<int64_t>& along : counts) {
    std::vector<T> next;
    next.reserve(weights.size() * along.size());
    for (T weight : weights) {
      for (int64_t count : along) next.push_back(weight * static_cast<T>(count));
    }
    weights = std::move(next);
  }
  for (T& weight : weights) weight = T(1) / weight;
  return weights;
}

Status eval_average_pool(EvalContext& c) {
  const DType dtype = c.tensor(0).dtype();
  const Tensor x = TRY(widened(c.tensor(0)));
  const Pool pool = TRY(pool_of(c));
  Tensor y = TRY(c.allocate(compute_dtype(dtype), static_extents(*c.output_type(0).shape)));
  visit_compute(dtype, [&]<class T>(Tag<T>) {
    if (pool.planes == 0) return;
    const std::vector<T> weights = window_weights<T>(pool, c.attrs().integer("count_include_pad") != 0);
    std::span<T> out = y.mutable_data<T>();
    std::fill(out.begin(), out.end(), T(0));
    for (int64_t p = 0; p < pool.planes; ++p) {
      const T* plane = x.data<T>().data() + p * pool.input_size;
      T* sums = out.data() + p * pool.output_size;
      for_each_tap_run(pool.geometry, [&](const TapRun& run) {
        const T* from = plane + run.input;
        T* to = sums + run.output;
        for (int64_t i = 0; i < run.count; ++i) to[i] += from[i * run.step];
      });
      for (int64_t i = 0; i < pool.output_size; ++i) sums[i] *= weights[static_cast<size_t>(i)];
    }
  });
  c.set(TRY(as_dtype(y, dtype)));
  return {};
}

Status eval_average_pool_gradient(EvalContext& c) {
  const DType dtype = c.tensor(0).dtype();
  const Tensor dy = TRY(widened(c.tensor(1)));
  const Pool pool = TRY(pool_of(c.attrs(), c.tensor(0).extents(), dy.extents()));
  Tensor dx = TRY(c.allocate(compute_dtype(dtype), c.tensor(0).extents()));
  visit_compute(dtype, [&]<class T>(Tag<T>) {
    std::span<T> out = dx.mutable_data<T>();
    std::fill(out.begin(), out.end(), T(0));
    if (pool.planes == 0) return;
    const std::vector<T> weights = window_weights<T>(pool, c.attrs().integer("count_include_pad") != 0);
    for (int64_t p = 0; p < pool.planes; ++p) {
      const T* gradient = dy.data<T>().data() + p * pool.output_size;
      T* plane = out.data() + p * pool.input_size;
      for_each_tap_run(pool.geometry, [&](const TapRun& run) {
        for (int64_t i = 0; i < run.count; ++i) {
          const int64_t o = run.output + i;
          plane[run.input + i * run.step] += gradient[o] * weights[static_cast<size_t>(o)];
        }
      });
    }
  });
  c.set(TRY(as_dtype(dx, dtype)));
  return {};
}

Status infer_lp_pool(InferContext& c) {
  if (c.attrs().integer("p") < 1)
    return invalid_model(fmt::format("p {} is less than 1", c.attrs().integer("p")));
  return infer_pool(c);
}

Status eval_lp_pool(EvalContext& c) {
  const DType dtype = c.tensor(0).dtype();
  const Tensor x = TRY(widened(c.tensor(0)));
  const Pool pool = TRY(pool_of(c));
  const double p = static_cast<double>(c.attrs().integer("p"));
  Tensor y = TRY(c.allocate(compute_dtype(dtype), static_extents(*c.output_type(0).shape)));
  visit_compute(dtype, [&]<class T>(Tag<T>) {
    std::span<T> out = y.mutable_data<T>();
    std::fill(out.begin(), out.end(), T(0));
    for (int64_t plane = 0; plane < pool.planes; ++plane) {
      const T* from = x.data<T>().data() + plane * pool.input_size;
      T* to = out.data() + plane * pool.output_size;
      for_each_tap_run(pool.geometry, [&](const TapRun& run) {
        for (int64_t i = 0; i < run.count; ++i) {
          const T value = from[run.input + i * run.step];
          to[run.output + i] += p == 2 ? value * value : std::pow(std::abs(value), static_cast<T>(p));
        }
      });
    }
    for (T& value : out) value = p == 2 ? std::sqrt(value) : std::pow(value, static_cast<T>(1 / p));
  });
  c.set(TRY(as_dtype(y, dtype)));
  return {};
}

// Zeros around the input, so that all windows lie inside of it and have equally many elements.
Value* padded_for_ceil(GraphBuilder& b, Value* x, const Window& window, const Shape& input, const Shape& output) {
  std::vector<Dim> pads(2 * input.size(), Dim(0));
  for (size_t d = 0; d < window.rank(); ++d) {
    pads[d + 2] = Dim(window.pads_begin[d]);
    pads[input.size() + d + 2] =
        (output[d + 2] - 1) * window.strides[d] + window.span(d) - input[d + 2] - window.pads_begin[d];
  }
  return b.op("Pad", {x, b.dims(pads)});
}

// The root of a multiple of the mean of powers; 0 has the slope 0.
Status lp_pool_for_gradient(DecomposeContext& c) {
  const Window window = TRY(read_window(c.attrs(), c.attrs().integers("kernel_shape")));
  const Shape input = TRY(known_shape(c.operand(0), "the input"));
  const double p = static_cast<double>(c.attrs().integer("p"));
  Attributes attrs = c.attrs();
  attrs.erase("p");
  attrs.set("count_include_pad", int64_t{1});
  ScalarExpr x = ScalarExpr::arg(0);
  Value* powers = c.b.map(p == 1 ? scalar::abs(x) : p == 2 ? x * x : scalar::pow(scalar::abs(x), p), {c.operand(0)});
  if (window.ceil_mode && window.auto_pad == AutoPad::kNotSet) {
    Shape output = input;
    for (size_t d = 0; d < window.rank(); ++d) output[d + 2] = TRY(window_output(window, d, input[d + 2]));
    powers = padded_for_ceil(c.b, powers, window, input, output);
    for (const char* attr : {"pads", "ceil_mode"}) attrs.erase(attr);
  }
  double count = 1;
  for (int64_t extent : window.kernel) count *= static_cast<double>(extent);
  Value* means = c.b.op("AveragePool", {powers}, attrs);
  ScalarExpr sum = x * count, safe = select(sum == 0, 1, sum);
  c.set(0, c.b.map(p == 1 ? sum : select(sum == 0, 0, p == 2 ? scalar::sqrt(safe) : scalar::pow(safe, 1 / p)), {means}));
  return {};
}

Status max_pool_vjp(VjpContext& c) {
  Attributes attrs = c.attrs();
  attrs.erase("storage_order");
  c.set(0, c.b.op("MaxPoolGradient", {c.operand(0), c.gradient()}, attrs));
  return c.b.status();
}

// Linear in the gradient: each window takes back the element where its largest one stands. A window of padding alone
// has the index -1 and takes none.
Status max_pool_gradient_vjp(VjpContext& c) {
  Value* x = c.operand(0);
  const Shape shape = TRY(known_shape(x, "the input"));
  Value* indices = c.b.op_n("MaxPool", {x}, c.attrs(), 2)[1];
  Value* taken = c.b.op("Gather", {c.b.reshape(c.gradient(), {element_count(shape)}), indices});
  Value* zero = c.b.number(0, taken);
  c.set(1, c.b.op("Where", {c.b.op("Less", {indices, c.b.constant(Tensor::scalar<int64_t>(0))}), zero, taken}));
  return c.b.status();
}

Status average_pool_vjp(VjpContext& c) {
  c.set(0, c.b.op("AveragePoolGradient", {c.operand(0), c.gradient()}, c.attrs()));
  return c.b.status();
}

// Linear in the gradient, and only the extents of the input matter.
Status average_pool_gradient_vjp(VjpContext& c) {
  c.set(1, c.b.op("AveragePool", {c.gradient()}, c.attrs()));
  return c.b.status();
}

}  // namespace

constinit const StructuredOp ops::MaxPool = {.inputs = {1, 1},
                                             .outputs = {1, 2},
                                             .attrs = kMaxPoolAttrs,
                                             .infer = infer_max_pool,
                                             .eval = eval_max_pool,
                                             .flops = one_per_operand_element};
constinit const GradientRule gradients::MaxPool = {.vjp = max_pool_vjp};
constinit const StructuredOp ops::MaxPoolGradient = {.inputs = {2, 2},
                                                     .outputs = {1, 1},
                                                     .attrs = kPoolAttrs,
                                                     .infer = infer_pool_gradient,
                                                     .eval = eval_max_pool_gradient};
constinit const GradientRule gradients::MaxPoolGradient = {.vjp = max_pool_gradient_vjp};
constinit const StructuredOp ops::AveragePool = {.inputs = {1, 1},
                                                 .outputs = {1, 1},
                                                 .attrs = kAveragePoolAttrs,
                                                 .infer = infer_pool,
                                                 .eval = eval_average_pool,
                                                 .flops = one_per_operand_element};
constinit const GradientRule gradients::AveragePool = {.vjp = average_pool_vjp};
constinit const StructuredOp ops::AveragePoolGradient = {.inputs = {2, 2},
                                                         .outputs = {1, 1},
                                                         .attrs = kAveragePoolAttrs,
                                                         .infer = infer_pool_gradient,
                                                         .eval = eval_average_pool_gradient};
constinit const GradientRule gradients::AveragePoolGradient = {.vjp = average_pool_gradient_vjp};
constinit const StructuredOp ops::LpPool = {.inputs = {1, 1},
                                            .outputs = {1, 1},
                                            .attrs = kLpPoolAttrs,
                                            .infer = infer_lp_pool,
                                            .eval = eval_lp_pool,
                                            .flops = one_per_operand_element};
constinit const GradientRule gradients::LpPool = {.for_gradient = lp_pool_for_gradient};

}  // namespace gannet
