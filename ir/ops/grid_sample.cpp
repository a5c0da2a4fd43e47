#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ir/ops/float_compute.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"
#include "ir/ops/sampling_composition.h"

namespace gannet {
namespace {

constexpr AttrDef kAttrs[] = {int_attr("align_corners", 0), string_attr("mode", "linear"),
                              string_attr("padding_mode", "zeros")};

// An interpolation in so many dimensions would take more than 4^8 elements a point.
constexpr size_t kMostSpatial = 8;

Status infer_grid_sample(InferContext& c) {
  TRY(expect_tensors(c, 2));
  TRY(expect_float(c, 1, "grid"));
  TRY(expect_choice(c, "mode", {"nearest", "linear", "cubic"}));
  TRY(expect_choice(c, "padding_mode", {"zeros", "border", "reflection"}));
  const DType t = c.dtype(0);
  if (c.attrs().text("mode") != "nearest" && (t == DType::kString || t == DType::kBool || is_complex(t))) {
    return invalid_model(fmt::format("mode {} does not apply to {}", c.attrs().text("mode"), name_of(t)));
  }
  c.set_tensor(0, t, std::nullopt);
  const Shape *x = c.shape(0), *grid = c.shape(1);
  if (!x || !grid) return {};
  if (x->size() < 3)
    return invalid_model(fmt::format("the input must have rank 3 or more, got {}", x->size()));
  if (x->size() != grid->size())
    return invalid_model(fmt::format("the input has rank {}, the grid has rank {}", x->size(), grid->size()));
  const size_t spatial = x->size() - 2;
  if (spatial > kMostSpatial)
    return unsupported(fmt::format("sampling in {} dimensions, more than {}", spatial, kMostSpatial));
  if (grid->back().is_constant() && !grid->back().is_constant(static_cast<int64_t>(spatial))) {
    return invalid_model(fmt::format("the grid has {} coordinates a point for {} spatial dimensions",
                                     grid->back().to_string(), spatial));
  }
  Shape shape{TRY(same_dim((*x)[0], (*grid)[0], 0)), (*x)[1]};
  for (size_t d = 0; d < spatial; ++d) {
    if ((*x)[d + 2].is_constant(0))
      return invalid_model(fmt::format("spatial dimension {} of the input is empty", d));
    shape.push_back((*grid)[d + 1]);
  }
  c.set_tensor(0, t, std::move(shape));
  return {};
}

enum class Padding { kZeros, kBorder, kReflection };
enum class Mode { kNearest, kLinear, kCubic };

struct Sampling {
  Mode mode = Mode::kLinear;
  Padding padding = Padding::kZeros;
  bool align_corners = false;
};

Sampling sampling_of(const Attributes& attrs) {
  const std::string_view mode = attrs.text("mode"), padding = attrs.text("padding_mode");
  return {mode == "nearest" ? Mode::kNearest
          : mode == "cubic" ? Mode::kCubic
                            : Mode::kLinear,
          padding == "border"       ? Padding::kBorder
          : padding == "reflection" ? Padding::kReflection
                                    : Padding::kZeros,
          attrs.integer("align_corners") != 0};
}

// x mirrored at both ends of [low, high] until it lies between them.
double reflected(double x, double low, double high) {
  const double range = high - low;
  if (range <= 0) return low;
  const double position = std::fmod(std::abs(x - low), 2 * range);
  return low + (position <= range ? position : 2 * range - position);
}

struct Axis {
  int64_t extent = 1;
  int64_t stride = 1;
};

// Elements along one axis with their weights; an index of -1 lies in the padding.
struct AxisTaps {
  int count = 0;
  int64_t indices[4] = {};
  double weights[4] = {};
};

int64_t padded_index(int64_t index, const Axis& axis, const Sampling& sampling) {
  if (index >= 0 && index < axis.extent) return index;
  if (sampling.padding == Padding::kZeros) return -1;
  if (sampling.padding == Padding::kReflection) {
    const double low = sampling.align_corners ? 0 : -0.5, last = static_cast<double>(axis.extent - 1);
    index = static_cast<int64_t>(reflected(static_cast<double>(index), low, last - low));
  }
  return std::clamp<int64_t>(index, 0, axis.extent - 1);
}

// R. Keys' cubic convolution with a = -0.75.
double cubic_weight(double distance) {
  constexpr double a = -0.75;
  const double x = std::abs(distance);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
}

// `normalized` runs from -1 to 1 between the centres or the outer edges of the outermost elements.
AxisTaps taps_at(double normalized, const Axis& axis, const Sampling& sampling) {
  const double extent = static_cast<double>(axis.extent);
  double x =
      sampling.align_corners ? (normalized + 1) / 2 * (extent - 1) : ((normalized + 1) * extent - 1) / 2;
  if (sampling.mode == Mode::kNearest) x = std::nearbyint(x);
  const double low = sampling.align_corners ? 0 : -0.5, high = extent - 1 - low;
  if (std::isnan(x)) x = -1;
  if (x < low || x > high) {
    // Cubic weights are those of the point itself; only the elements that it takes lie at the border.
    if (sampling.padding == Padding::kBorder && sampling.mode != Mode::kCubic)
      x = std::clamp(x, 0.0, extent - 1);
    if (sampling.padding == Padding::kReflection) x = std::isinf(x) ? 0 : reflected(x, low, high);
  }
  x = std::clamp(x, -8.0, extent + 8);
  AxisTaps taps;
  const double floor = std::floor(x);
  const int64_t first = static_cast<int64_t>(floor) - (sampling.mode == Mode::kCubic ? 1 : 0);
  taps.count = sampling.mode == Mode::kNearest ? 1 : sampling.mode == Mode::kLinear ? 2 : 4;
  for (int i = 0; i < taps.count; ++i) {
    const double distance = x - static_cast<double>(first + i);
    taps.indices[i] = padded_index(first + i, axis, sampling);
    taps.weights[i] = sampling.mode == Mode::kNearest  ? 1
                      : sampling.mode == Mode::kLinear ? 1 - std::abs(distance)
                                                       : cubic_weight(distance);
  }
  return taps;
}

struct Tap {
  int64_t offset = 0;
  double weight = 0;
};

// All elements of a plane that a point takes; those in the padding are left out. The grid names the last axis
// first.
template <class G>
void taps_of(const G* point, const std::vector<Axis>& axes, const Sampling& sampling,
             std::vector<Tap>& taps) {
  taps.assign(1, {0, 1.0});
  std::vector<Tap> next;
  for (size_t d = 0; d < axes.size(); ++d) {
    const AxisTaps along = taps_at(static_cast<double>(point[axes.size() - 1 - d]), axes[d], sampling);
    next.clear();
    for (const Tap& tap : taps) {
      for (int i = 0; i < along.count; ++i) {
        if (along.indices[i] >= 0)
          next.push_back({tap.offset + along.indices[i] * axes[d].stride, tap.weight * along.weights[i]});
      }
    }
    taps.swap(next);
  }
}

template <class T>
T combined(const std::vector<Tap>& taps, const T* plane) {
  if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) {
    double sum = 0;
    for (const Tap& tap : taps) sum += tap.weight * static_cast<double>(plane[tap.offset]);
    return saturating_cast<T>(sum);
  } else {
    return taps.empty() ? T() : plane[taps[0].offset];
  }
}

template <class T, class G>
void sample(const Tensor& x, const Tensor& grid, const Sampling& sampling, Tensor& y) {
  const size_t spatial = x.extents().size() - 2;
  const std::vector<int64_t> strides = row_major_strides(x.extents());
  std::vector<Axis> axes;
  int64_t plane = 1, points = 1;
  for (size_t d = 0; d < spatial; ++d) {
    axes.push_back({x.extents()[d + 2], strides[d + 2]});
    plane *= x.extents()[d + 2];
    points *= y.extents()[d + 2];
  }
  std::vector<Tap> taps;
  const T* from = x.data<T>().data();
  T* to = y.mutable_data<T>().data();
  const G* point = grid.data<G>().data();
  const int64_t channels = x.extent(1);
  for (int64_t n = 0; n < x.extent(0); ++n, from += channels * plane, to += channels * points) {
    for (int64_t i = 0; i < points; ++i, point += spatial) {
      taps_of(point, axes, sampling, taps);
      for (int64_t channel = 0; channel < channels; ++channel)
        to[channel * points + i] = combined(taps, from + channel * plane);
    }
  }
}

Status eval_grid_sample(EvalContext& c) {
  const DType dtype = c.tensor(0).dtype();
  const Sampling sampling = sampling_of(c.attrs());
  const bool compute = sampling.mode != Mode::kNearest && !is_int(dtype);
  const Tensor x = compute ? TRY(widened(c.tensor(0))) : c.tensor(0), grid = TRY(widened(c.tensor(1)));
  Tensor y = TRY(c.allocate(x.dtype(), static_extents(*c.output_type(0).shape)));
  if (y.elements() > 0) {
    visit_compute(grid.dtype(), [&]<class G>(Tag<G>) {
      visit_dtype(x.dtype(), [&]<class T>(Tag<T>) { sample<T, G>(x, grid, sampling, y); });
    });
  }
  c.set(TRY(as_dtype(y, dtype)));
  return {};
}

}  // namespace

constinit const StructuredOp ops::GridSample = {.inputs = {2, 2},
                                                .outputs = {1, 1},
                                                .attrs = kAttrs,
                                                .infer = infer_grid_sample,
                                                .eval = eval_grid_sample};
constinit const GradientRule gradients::GridSample = {.for_gradient = grid_sample_for_gradient};

}  // namespace gannet
