#include <algorithm>
#include <cmath>
#include <numbers>

#include "ir/ops/float_compute.h"
#include "ir/ops/fourier.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"

namespace gannet {
namespace {

constexpr AttrDef kDftAttrs[] = {int_attr("inverse", 0), int_attr("onesided", 0)};
constexpr AttrDef kStftAttrs[] = {int_attr("onesided", 1)};

// A transform needs some 100 bytes for each element of a line.
constexpr int64_t kMaxLength = int64_t{1} << 28;

Status expect_length(int64_t length, std::string_view what) {
  if (length >= 1 && length <= kMaxLength) return {};
  return invalid_input(fmt::format("{} must be 1 to {}, got {}", what, kMaxLength, length));
}

// The one integer that operand i holds, where it is known.
std::optional<int64_t> known_int(const InferContext& c, size_t i) {
  auto values = known_ints(c, i);
  if (!values || values->size() != 1) return std::nullopt;
  return (*values)[0];
}

Status expect_signal(const InferContext& c, std::string_view role) {
  TRY(expect_float(c, 0, role));
  if (!c.shape(0)) return {};
  const Shape& shape = *c.shape(0);
  if (shape.size() < 2)
    return invalid_model(
        fmt::format("input 0 ({}) must have a rank of 2 or more, got {}", role, shape.size()));
  const Dim& parts = shape.back();
  if (parts.is_constant() && !parts.is_constant(1) && !parts.is_constant(2)) {
    return invalid_model(fmt::format("the last dimension of {} must be 1 (real) or 2 (complex), got {}", role,
                                     parts.to_string()));
  }
  return {};
}

Result<int64_t> signal_axis(int64_t axis, int64_t rank) {
  int64_t normal = TRY(normalize_axis(axis, rank));
  if (normal == rank - 1)
    return invalid_model(fmt::format("axis {} holds the parts of complex numbers", axis));
  return normal;
}

struct DftMode {
  bool inverse = false;
  bool onesided = false;
  bool to_real() const { return inverse && onesided; }
};

DftMode dft_mode(const Attributes& attrs) {
  return {attrs.integer("inverse") != 0, attrs.integer("onesided") != 0};
}

Status infer_dft(InferContext& c) {
  TRY(expect_tensors(c, 1));
  TRY(expect_signal(c, "input"));
  if (c.has(1)) TRY(expect_index(c, 1, "dft_length"));
  if (c.has(1)) TRY(expect_single(c, 1, "dft_length"));
  if (c.has(2)) TRY(expect_index(c, 2, "axis"));
  if (c.has(2)) TRY(expect_single(c, 2, "axis"));
  if (!c.shape(0)) return c.set_tensor(0, c.dtype(0), std::nullopt), Status();
  DftMode mode = dft_mode(c.attrs());
  Shape shape = *c.shape(0);
  int64_t rank = static_cast<int64_t>(shape.size());
  if (mode.to_real() && shape.back().is_constant(1))
    return invalid_model("the inverse onesided transform needs complex input");
  if (mode.onesided && !mode.inverse && shape.back().is_constant(2))
    return invalid_model("the onesided transform needs real input");
  shape.back() = mode.to_real() ? 1 : 2;
  std::optional<int64_t> axis = c.has(2) ? known_int(c, 2) : std::optional<int64_t>(-2);
  if (!axis) {
    for (int64_t i = 0; i + 1 < rank; ++i) shape[static_cast<size_t>(i)] = c.fresh("frequencies");
    return c.set_tensor(0, c.dtype(0), shape), Status();
  }
  Dim& extent = shape[static_cast<size_t>(TRY(signal_axis(*axis, rank)))];
  std::optional<std::vector<Dim>> given = c.has(1) ? short_contents(c, 1) : std::nullopt;
  if (given && given->size() == 1)
    extent = (*given)[0];
  else if (c.has(1))
    extent = c.fresh("frequencies");
  else if (mode.to_real())
    extent = Dim(2) * (extent - 1);
  if (extent.is_constant() && (given || mode.to_real())) TRY(expect_length(extent.constant(), "dft_length"));
  if (mode.onesided && !mode.inverse) extent = floordiv(extent, 2) + 1;
  c.set_tensor(0, c.dtype(0), shape);
  return {};
}

// A real or complex signal as numbers of f64, and the way back.
struct Lines {
  AxisView view;      // around the axis; `inner` without the parts
  int64_t parts = 1;  // 1 real, 2 complex
};

Lines lines_of(const Tensor& tensor, int64_t axis) {
  Lines lines{view_axis(tensor.extents(), axis), tensor.extents().back()};
  lines.view.inner = 1;
  for (int64_t i = axis + 1; i + 1 < tensor.rank(); ++i) lines.view.inner *= tensor.extent(i);
  return lines;
}

template <class T>
std::complex<double> element(std::span<const T> data, int64_t index, int64_t parts) {
  const T* x = data.data() + index * parts;
  return {static_cast<double>(x[0]), parts == 2 ? static_cast<double>(x[1]) : 0.0};
}

// The spectrum of a real signal is conjugate symmetric: its second half follows from the first. As in numpy
// the imaginary parts of the constant and (for even lengths) of the middle frequency do not count.
void complete_spectrum(std::span<std::complex<double>> line) {
  size_t n = line.size();
  line[0] = line[0].real();
  for (size_t k = n / 2 + 1; k < n; ++k) line[k] = std::conj(line[n - k]);
  if (n % 2 == 0) line[n / 2] = line[n / 2].real();
}

template <class T>
void transform_lines(const Tensor& x, Tensor& y, int64_t axis, int64_t length, DftMode mode) {
  Lines from = lines_of(x, axis), to = lines_of(y, axis);
  FourierTransform transform(length, mode.inverse);
  std::vector<std::complex<double>> line(static_cast<size_t>(length));
  auto source = x.data<T>();
  T* target = y.mutable_data<T>().data();
  double scale = mode.inverse ? 1 / static_cast<double>(length) : 1;
  int64_t taken = std::min(length, from.view.length);
  for (int64_t o = 0; o < from.view.outer; ++o) {
    for (int64_t i = 0; i < from.view.inner; ++i) {
      std::fill(line.begin(), line.end(), 0.0);
      for (int64_t k = 0; k < taken; ++k) {
        line[static_cast<size_t>(k)] =
            element(source, (o * from.view.length + k) * from.view.inner + i, from.parts);
      }
      if (mode.to_real()) complete_spectrum(line);
      transform.run(line);
      for (int64_t k = 0; k < to.view.length; ++k) {
        T* parts = target + ((o * to.view.length + k) * to.view.inner + i) * to.parts;
        std::complex<double> value = line[static_cast<size_t>(k)] * scale;
        parts[0] = static_cast<T>(value.real());
        if (to.parts == 2) parts[1] = static_cast<T>(value.imag());
      }
    }
  }
}

Status eval_dft(EvalContext& c) {
  Tensor x = TRY(widened(c.tensor(0)));
  DftMode mode = dft_mode(c.attrs());
  int64_t axis = TRY(signal_axis(c.has(2) ? c.tensor(2).int_at(0) : -2, x.rank()));
  int64_t length = mode.to_real() ? 2 * (x.extent(axis) - 1) : x.extent(axis);
  if (c.has(1)) length = c.tensor(1).int_at(0);
  Tensor y = TRY(c.allocate(x.dtype(), static_extents(*c.output_type(0).shape)));
  if (y.elements() > 0) {
    TRY(expect_length(length, "dft_length"));
    visit_compute(x.dtype(), [&]<class T>(Tag<T>) { transform_lines<T>(x, y, axis, length, mode); });
  }
  c.set(TRY(as_dtype(y, c.tensor(0).dtype())));
  return {};
}

// `x` cut or filled with zeros behind its elements to `extent` along the axis.
Value* fitted(GraphBuilder& b, Value* x, int64_t axis, const Dim& extent) {
  const Dim have = (*x->type.shape)[static_cast<size_t>(axis)];
  return have == extent ? x : b.op("Pad", {x, b.dims({Dim(0), extent - have}), nullptr, b.ints({axis})});
}

// How often each frequency of a half spectrum counts in a real signal of `length`: the constant and, for even lengths, the
// middle one once, every other one with its mirror image.
Value* counts_of_frequencies(GraphBuilder& b, Value* length, const Dim& frequencies, const Shape& aligned, DType dtype) {
  Value* zero = b.constant(Tensor::scalar<int64_t>(0));
  Value* k = b.op("Range", {zero, b.squeeze(b.dims({frequencies}), {0}), b.constant(Tensor::scalar<int64_t>(1))});
  ScalarExpr f = ScalarExpr::arg(0), n = ScalarExpr::arg(1);
  ScalarExpr count = select(f == 0 || 2 * f == n, cast(1.0, dtype), cast(2.0, dtype));
  return b.reshape(b.map(count, {k, length}), aligned);
}

// A transform is linear; its adjoint is the transform with the opposite sign of the frequencies, without the factor
// 1 / length or with it.
Status dft_vjp(VjpContext& c) {
  GraphBuilder& b = c.b;
  const Shape x = TRY(known_shape(c.operand(0), "the input"));
  const DftMode mode = dft_mode(c.attrs());
  std::optional<std::vector<int64_t>> given = std::vector<int64_t>{-2};
  if (c.operand(2)) given = constant_ints(c.operand(2));
  if (!given || given->size() != 1) return unsupported("the gradient needs the axis, which is not known");
  if (!x.back().is_constant()) return unsupported("whether the input is complex is not known");
  const int64_t axis = TRY(signal_axis((*given)[0], static_cast<int64_t>(x.size())));
  const auto along = static_cast<size_t>(axis);
  const Shape y = TRY(known_shape(c.output(), "the result"));
  const Dim extent = mode.onesided && !mode.inverse ? x[along] : y[along];
  Value* length = c.operand(1) ? b.cast(b.reshape(c.operand(1), {}), DType::kI64) : b.squeeze(b.dims({extent}), {0});
  Value* axis_value = b.constant(Tensor::scalar<int64_t>(axis));
  Value* scale = b.cast(length, c.gradient()->type.dtype);
  Attributes attrs = {{"inverse", int64_t{!mode.inverse}}, {"onesided", int64_t{mode.to_real()}}};
  Value* g = b.op("DFT", {c.gradient(), length, axis_value}, attrs);
  if (mode.to_real()) {
    Shape aligned(x.size(), Dim(1));
    aligned[along] = (*g->type.shape)[along];
    g = b.mul(g, counts_of_frequencies(b, length, aligned[along], aligned, g->type.dtype));
  }
  g = mode.inverse ? b.div(g, scale) : b.mul(g, scale);
  g = fitted(b, g, axis, x[along]);
  if (x.back().is_constant(1)) g = b.slice(g, {0}, {1}, {-1});
  c.set(0, g);
  return b.status();
}

// The operands of STFT are signal [batch, length, parts], frame_step, window, frame_length.
Result<std::optional<Dim>> frame_length(const InferContext& c) {
  if (c.has(3)) {
    auto given = short_contents(c, 3);
    if (given && given->size() == 1) return std::optional((*given)[0]);
    if (!c.has(2)) return std::optional<Dim>();
  }
  if (c.has(2)) return c.shape(2) ? std::optional((*c.shape(2))[0]) : std::nullopt;
  return c.shape(0) ? std::optional((*c.shape(0))[1]) : std::nullopt;
}

Status infer_stft(InferContext& c) {
  TRY(expect_tensors(c, 2));
  TRY(expect_signal(c, "signal"));
  TRY(expect_rank(c, 0, 3, "signal"));
  TRY(expect_index(c, 1, "frame_step"));
  TRY(expect_single(c, 1, "frame_step"));
  if (c.has(2)) {
    TRY(expect_float(c, 2, "window"));
    TRY(expect_rank(c, 2, 1, "window"));
    TRY(expect_same_dtype(c, 0, 2));
  }
  if (c.has(3)) {
    TRY(expect_index(c, 3, "frame_length"));
    TRY(expect_single(c, 3, "frame_length"));
  }
  bool onesided = c.attrs().integer("onesided") != 0;
  std::optional<Dim> length = TRY(frame_length(c));
  if (length && length->is_constant()) {
    TRY(expect_length(length->constant(), "frame_length"));
    if (c.has(2) && c.shape(2) && (*c.shape(2))[0].is_constant() && (*c.shape(2))[0] != *length) {
      return invalid_model(fmt::format("a window of {} does not fit a frame_length of {}",
                                       (*c.shape(2))[0].to_string(), length->to_string()));
    }
  }
  auto step = known_int(c, 1);
  if (step && *step < 1) return invalid_model(fmt::format("frame_step must be positive, got {}", *step));
  Dim batch = c.shape(0) ? (*c.shape(0))[0] : c.fresh("batch"), frames = c.fresh("frames"),
      bins = c.fresh("bins");
  if (length) bins = onesided ? floordiv(*length, 2) + 1 : *length;
  if (length && step && c.shape(0)) {
    const Dim& samples = (*c.shape(0))[1];
    if (samples.is_constant() && length->is_constant() && samples.constant() < length->constant()) {
      return invalid_model(
          fmt::format("frame_length {} exceeds a signal of {}", length->to_string(), samples.to_string()));
    }
    frames = floordiv(samples - *length, *step) + 1;
  }
  if (onesided && c.shape(0) && c.shape(0)->back().is_constant(2))
    return invalid_model("the onesided transform needs a real signal");
  c.set_tensor(0, c.dtype(0), Shape{batch, frames, bins, 2});
  return {};
}

template <class T>
void transform_frames(const Tensor& x, const Tensor& window, Tensor& y, int64_t step, int64_t length) {
  auto samples = x.data<T>();
  T* target = y.mutable_data<T>().data();
  FourierTransform transform(length, false);
  std::vector<std::complex<double>> line(static_cast<size_t>(length));
  for (int64_t b = 0; b < y.extent(0); ++b) {
    for (int64_t f = 0; f < y.extent(1); ++f) {
      for (int64_t k = 0; k < length; ++k) {
        double weight = window.defined() ? window.double_at(k) : 1.0;
        line[static_cast<size_t>(k)] = weight * element(samples, b * x.extent(1) + f * step + k, x.extent(2));
      }
      transform.run(line);
      for (int64_t k = 0; k < y.extent(2); ++k) {
        *target++ = static_cast<T>(line[static_cast<size_t>(k)].real());
        *target++ = static_cast<T>(line[static_cast<size_t>(k)].imag());
      }
    }
  }
}

Status eval_stft(EvalContext& c) {
  Tensor x = TRY(widened(c.tensor(0)));
  Tensor window = c.has(2) ? c.tensor(2) : Tensor();
  int64_t length = c.has(3) ? c.tensor(3).int_at(0) : c.has(2) ? window.extent(0) : x.extent(1);
  Tensor y = TRY(c.allocate(x.dtype(), static_extents(*c.output_type(0).shape)));
  if (y.elements() > 0) {
    visit_compute(x.dtype(),
                  [&]<class T>(Tag<T>) { transform_frames<T>(x, window, y, c.tensor(1).int_at(0), length); });
  }
  c.set(TRY(as_dtype(y, c.tensor(0).dtype())));
  return {};
}

// Frames gathered from the signal, times the window, transformed.
Status stft_for_gradient(DecomposeContext& c) {
  GraphBuilder& b = c.b;
  const Shape x = TRY(known_shape(c.operand(0), "the signal"));
  const std::optional<std::vector<Dim>> step = dims_of(c.operand(1));
  std::optional<std::vector<Dim>> length;
  if (c.operand(3)) length = dims_of(c.operand(3));
  else if (c.operand(2)) length = TRY(known_shape(c.operand(2), "the window"));
  else length = std::vector<Dim>{x[1]};
  if (!step || step->size() != 1 || !(*step)[0].is_constant() || !length || length->size() != 1) {
    return unsupported("the gradient needs frame_step and frame_length, which are not known");
  }
  const Dim frames = floordiv(x[1] - (*length)[0], (*step)[0].constant()) + 1;
  auto range = [&](const Dim& count, int64_t by) {
    auto integer = [&](const Dim& value) { return b.squeeze(b.dims({value}), {0}); };
    return b.op("Range", {integer(Dim(0)), integer(count * by), integer(Dim(by))});
  };
  Value* starts = b.reshape(range(frames, (*step)[0].constant()), {frames, Dim(1)});
  Value* framed = b.op("Gather", {c.operand(0), b.add(starts, range((*length)[0], 1))}, {{"axis", int64_t{1}}});
  if (c.operand(2)) framed = b.mul(framed, b.unsqueeze(c.operand(2), {1}));
  c.set(0, b.op("DFT", {framed, nullptr, b.constant(Tensor::scalar<int64_t>(2))}, {{"onesided", c.attrs().integer("onesided")}}));
  return {};
}

}  // namespace

constinit const StructuredOp ops::DFT = {.inputs = {1, 3},
                                         .outputs = {1, 1},
                                         .attrs = kDftAttrs,
                                         .infer = infer_dft,
                                         .eval = eval_dft};
constinit const GradientRule gradients::DFT = {.vjp = dft_vjp};
constinit const StructuredOp ops::STFT = {.inputs = {2, 4},
                                          .outputs = {1, 1},
                                          .attrs = kStftAttrs,
                                          .infer = infer_stft,
                                          .eval = eval_stft};
constinit const GradientRule gradients::STFT = {.for_gradient = stft_for_gradient};

}  // namespace gannet
