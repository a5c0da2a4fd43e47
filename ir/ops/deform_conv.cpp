#include <fmt/format.h>

#include <cmath>

#include "ir/contraction.h"
#include "ir/ops/convolution.h"
#include "ir/ops/float_compute.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"
#include "ir/ops/sampling_composition.h"

namespace gannet {
namespace {

constexpr AttrDef kAttrs[] = {
    optional_attr("dilations", AttrKind::kInts),    int_attr("group", 1),
    optional_attr("kernel_shape", AttrKind::kInts), int_attr("offset_group", 1),
    optional_attr("pads", AttrKind::kInts),         optional_attr("strides", AttrKind::kInts)};

// Sampling takes 2^rank elements.
constexpr size_t kMostSpatial = 8;

enum Operand : size_t { kInput, kWeights, kOffset, kBias, kMask };

// The shape that offsets (`numbers` a tap) or masks have.
Status check_field(const InferContext& c, size_t i, const Shape& output, const Window& window,
                   int64_t numbers, std::string_view role) {
  TRY(expect_rank(c, i, static_cast<int64_t>(output.size()), role));
  const Shape* field = c.shape(i);
  if (!field) return {};
  Shape expected = output;
  expected[1] = Dim(c.attrs().integer("offset_group")) * numbers;
  for (int64_t extent : window.kernel) expected[1] = expected[1] * extent;
  for (size_t d = 0; d < expected.size(); ++d) {
    if (expected[d].is_constant() && (*field)[d].is_constant() && expected[d] != (*field)[d]) {
      return invalid_model(fmt::format("dimension {} of the {} is {}, expected {}", d, role,
                                       (*field)[d].to_string(), expected[d].to_string()));
    }
  }
  return {};
}

Status infer_deform_conv(InferContext& c) {
  TRY(expect_tensors(c, 3));
  TRY(expect_float(c, kInput, "input"));
  for (size_t i = 1; i < c.operand_count(); ++i) {
    if (c.has(i)) TRY(expect_same_dtype(c, 0, i));
  }
  const int64_t groups = c.attrs().integer("offset_group");
  if (groups < 1) return invalid_model(fmt::format("offset_group {} is less than 1", groups));
  const std::optional<Shape> output = TRY(convolution_shape(c, {kInput, kWeights, kBias}));
  if (output && c.shape(kWeights)) {
    const Dim& channels = (*c.shape(kInput))[1];
    if (channels.is_constant() && channels.constant() % groups != 0) {
      return invalid_model(
          fmt::format("offset_group {} does not divide {} input channels", groups, channels.to_string()));
    }
    const std::optional<Window> window = TRY(convolution_window(c.attrs(), *c.shape(kWeights)));
    if (window && window->rank() > kMostSpatial) {
      return unsupported(
          fmt::format("sampling in {} dimensions, more than {}", window->rank(), kMostSpatial));
    }
    if (window)
      TRY(check_field(c, kOffset, *output, *window, static_cast<int64_t>(window->rank()), "offset"));
    if (window && c.has(kMask)) TRY(check_field(c, kMask, *output, *window, 1, "mask"));
  }
  c.set_tensor(0, c.dtype(kInput), output);
  return {};
}

// The element at a position between elements, linear along each axis; zero outside.
template <class T>
T sampled(const T* plane, std::span<const int64_t> extents, const double* position) {
  const size_t rank = extents.size();
  double sum = 0;
  for (size_t corner = 0; corner < (size_t{1} << rank); ++corner) {
    double weight = 1;
    int64_t index = 0;
    for (size_t d = 0; d < rank; ++d) {
      const double low = std::floor(position[d]), fraction = position[d] - low;
      const bool upper = (corner >> d) & 1;
      const double at = upper ? low + 1 : low;
      if (!(at >= 0 && at < static_cast<double>(extents[d]))) weight = 0;
      if (weight == 0) break;
      weight *= upper ? fraction : 1 - fraction;
      index = index * extents[d] + static_cast<int64_t>(at);
    }
    if (weight != 0) sum += weight * static_cast<double>(plane[index]);
  }
  return static_cast<T>(sum);
}

template <class T>
struct Field {
  const T* input = nullptr;   // of one batch
  const T* offset = nullptr;  // of one batch
  const T* mask = nullptr;    // of one batch, or null
  int64_t channels_per_offset = 1;
  int64_t first_channel = 0;  // of the group
};

// Elements [column, column + count) of patch row (channel of the group, tap), sampled where the offsets say.
template <class T>
void sampled_row(const WindowGeometry& g, const Field<T>& field, int64_t row, int64_t column, int64_t count,
                 T* elements) {
  const size_t rank = g.rank();
  const int64_t taps = g.taps(), pixels = g.output_size(), tap = row % taps;
  const int64_t channel = field.first_channel + row / taps, group = channel / field.channels_per_offset;
  const T* plane = field.input + channel * g.input_size();
  const int64_t cell = group * taps + tap;
  for (int64_t i = 0; i < count; ++i) {
    double position[kMostSpatial] = {};
    int64_t o = column + i, t = tap;
    for (size_t d = rank; d-- > 0;) {
      const double offset = static_cast<double>(
          field.offset[(cell * static_cast<int64_t>(rank) + static_cast<int64_t>(d)) * pixels + column + i]);
      position[d] =
          static_cast<double>(o % g.output[d] * g.strides[d] + g.offset(d, t % g.kernel[d])) + offset;
      o /= g.output[d];
      t /= g.kernel[d];
    }
    elements[i] =
        sampled(plane, g.input, position) * (field.mask ? field.mask[cell * pixels + column + i] : T(1));
  }
}

template <class T>
void deform_convolve(const ConvolutionGeometry& g, int64_t offset_groups, const Tensor (&operands)[5], T* y) {
  auto data = [&](size_t i) { return operands[i].defined() ? operands[i].data<T>().data() : nullptr; };
  const int64_t pixels = g.window.output_size(), taps = g.window.taps(), k = g.in_channels * taps;
  const int64_t channels = g.groups * g.in_channels, cells = offset_groups * taps;
  for (int64_t n = 0; n < g.batch; ++n) {
    Field<T> field;
    field.input = data(kInput) + n * channels * g.window.input_size();
    field.offset = data(kOffset) + n * cells * static_cast<int64_t>(g.window.rank()) * pixels;
    field.mask = operands[kMask].defined() ? data(kMask) + n * cells * pixels : nullptr;
    field.channels_per_offset = channels / offset_groups;
    for (int64_t group = 0; group < g.groups; ++group, y += g.out_channels * pixels) {
      field.first_channel = group * g.in_channels;
      for (int64_t c = 0; c < g.out_channels; ++c) {
        std::fill_n(y + c * pixels, pixels,
                    operands[kBias].defined() ? data(kBias)[group * g.out_channels + c] : T(0));
      }
      const RowSource<T> rows = [&](int64_t row, int64_t column, int64_t count, T* elements) {
        sampled_row(g.window, field, row, column, count, elements);
      };
      multiply<T>({g.out_channels, pixels, k},
                  MatrixView<T>{data(kWeights) + group * g.out_channels * k, k, 1}, rows, {y, pixels, true});
    }
  }
}

Status eval_deform_conv(EvalContext& c) {
  const DType dtype = c.tensor(kInput).dtype();
  Tensor operands[5];
  for (size_t i = 0; i < c.operand_count(); ++i) {
    if (c.has(i)) operands[i] = TRY(widened(c.tensor(i)));
  }
  Tensor y = TRY(c.allocate(compute_dtype(dtype), static_extents(*c.output_type(0).shape)));
  if (y.elements() > 0) {
    const ConvolutionGeometry g = TRY(convolution_geometry(c.attrs(), operands[kInput].extents(),
                                                           operands[kWeights].extents(), y.extents()));
    visit_compute(dtype, [&]<class T>(Tag<T>) {
      deform_convolve<T>(g, c.attrs().integer("offset_group"), operands, y.mutable_data<T>().data());
    });
  }
  c.set(TRY(as_dtype(y, dtype)));
  return {};
}

}  // namespace

constinit const StructuredOp ops::DeformConv = {.inputs = {3, 5},
                                                .outputs = {1, 1},
                                                .attrs = kAttrs,
                                                .infer = infer_deform_conv,
                                                .eval = eval_deform_conv};
constinit const GradientRule gradients::DeformConv = {.for_gradient = deform_conv_for_gradient};

}  // namespace gannet
