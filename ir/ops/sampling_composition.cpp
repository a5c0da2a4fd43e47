#include "ir/ops/sampling_composition.h"

#include <algorithm>

#include "ir/ops/convolution.h"
#include "ir/ops/operand_checks.h"

namespace gannet {
namespace {

Value* integer(GraphBuilder& b, const Dim& value) { return b.squeeze(b.dims({value}), {0}); }
Value* number_of(GraphBuilder& b, const Dim& value, DType dtype) {
  if (value.is_constant()) return b.constant(Tensor::scalar_of(dtype, static_cast<double>(value.constant())));
  return b.cast(integer(b, value), dtype);
}

Value* numbers(GraphBuilder& b, const std::vector<double>& values, DType dtype) {
  Tensor list = Tensor::zeros(DType::kF64, {static_cast<int64_t>(values.size())});
  std::ranges::copy(values, list.mutable_data<double>().begin());
  return b.cast(b.constant(list), dtype);
}

ScalarExpr clipped(const ScalarExpr& x, const ScalarExpr& low, const ScalarExpr& high) {
  return scalar::min(scalar::max(x, low), high);
}

}  // namespace

Value* sampled_points(GraphBuilder& b, Value* x, const Shape& x_shape, const Dim& points, std::span<const AxisTapValues> axes) {
  const Dim groups = x_shape[0], channels = x_shape[1];
  Value *index = axes[0].indices, *weight = axes[0].weights;
  int64_t taps = axes[0].taps;
  for (size_t d = 1; d < axes.size(); ++d) {
    const int64_t more = axes[d].taps;
    auto outer = [&](Value* v) { return b.reshape(v, {groups, points, Dim(taps), Dim(1)}); };
    auto inner = [&](Value* v) { return b.reshape(v, {groups, points, Dim(1), Dim(more)}); };
    const Shape joined = {groups, points, Dim(taps * more)};
    Value* extent = integer(b, x_shape[d + 2]);
    index = b.reshape(b.map(ScalarExpr::arg(0) * ScalarExpr::arg(2) + ScalarExpr::arg(1), {outer(index), inner(axes[d].indices), extent}), joined);
    weight = b.reshape(b.mul(outer(weight), inner(axes[d].weights)), joined);
    taps *= more;
  }
  const Dim plane = element_count(std::span<const Dim>(x_shape).subspan(2));
  Value* places = b.expand(b.reshape(index, {groups, Dim(1), points * taps}), {groups, channels, points * taps});
  Value* taken = b.op("GatherElements", {b.reshape(x, {groups, channels, plane}), places}, {{"axis", int64_t{2}}});
  Value* weights = b.cast(b.reshape(weight, {groups, Dim(1), points, Dim(taps)}), x->type.dtype);
  return b.reduce_sum(b.mul(b.reshape(taken, {groups, channels, points, Dim(taps)}), weights), {3}, false);
}

AxisTapValues linear_taps(GraphBuilder& b, Value* position, const Dim& extent) {
  const DType dtype = position->type.dtype;
  Value *offsets = numbers(b, {0, 1}, dtype), *length = number_of(b, extent, dtype);
  ScalarExpr x = ScalarExpr::arg(0), o = ScalarExpr::arg(1), n = ScalarExpr::arg(2);
  ScalarExpr at = scalar::floor(x) + o, fraction = x - scalar::floor(x);
  Value* weights = b.map(select(at >= 0 && at < n, (1 - o) + (2 * o - 1) * fraction, 0), {position, offsets, length});
  Value* indices = b.map(cast(clipped(at, 0, n - 1), DType::kI64), {position, offsets, length});
  return {indices, weights, 2};
}

namespace {

// The same as clipped to the elements of an axis, but flat at its ends, as PyTorch has it.
ScalarExpr held(const ScalarExpr& x, const ScalarExpr& n) { return select(x <= 0, 0, select(x >= n - 1, n - 1, x)); }

// x mirrored at both ends of an axis of n elements until it lies between them. At an end, the slope is that behind the first
// and that behind the last, as PyTorch has it.
ScalarExpr mirrored(const ScalarExpr& x, const ScalarExpr& n, bool align_corners) {
  ScalarExpr low = align_corners ? 0.0 : -0.5, range = align_corners ? n - 1 : n;
  ScalarExpr safe = select(range <= 0, 1, range), place = scalar::trunc_mod(select(x < low, low - x, x - low), 2 * safe);
  return select(range <= 0, low, low + select(place < safe, place, 2 * safe - place));
}

// R. Keys' cubic convolution with a = -0.75 at tap o in -1..2 for a fraction in [0, 1).
ScalarExpr cubic_tap(const ScalarExpr& fraction, const ScalarExpr& o) {
  const double a = -0.75;
  ScalarExpr t = select(o <= 0, fraction - o, o - fraction);
  ScalarExpr near = ((a + 2) * t - (a + 3)) * t * t + 1, far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a;
  return select(o == 0 || o == 1, near, far);
}

AxisTapValues grid_taps(GraphBuilder& b, Value* normalized, const Dim& extent, const Attributes& attrs) {
  const std::string_view mode = attrs.text("mode"), padding = attrs.text("padding_mode");
  const bool align = attrs.integer("align_corners") != 0, cubic = mode == "cubic", nearest = mode == "nearest";
  const DType dtype = normalized->type.dtype;
  Value* length = number_of(b, extent, dtype);
  ScalarExpr g = ScalarExpr::arg(0), n = ScalarExpr::arg(1);
  ScalarExpr x = align ? (g + 1) / 2 * (n - 1) : ((g + 1) * n - 1) / 2;
  if (nearest) x = scalar::round(x);
  if (padding == "reflection") x = mirrored(x, n, align);
  // Between the edge of an element and its middle a mirror shows that element again.
  if (padding != "zeros" && !cubic) x = held(x, n);
  Value* position = b.map(clipped(x, -8, n + 8), {normalized, length});
  const std::vector<double> taps = nearest ? std::vector<double>{0} : cubic ? std::vector<double>{-1, 0, 1, 2} : std::vector<double>{0, 1};
  Value* offsets = numbers(b, taps, dtype);
  ScalarExpr p = ScalarExpr::arg(0), o = ScalarExpr::arg(1), m = ScalarExpr::arg(2);
  ScalarExpr at = scalar::floor(p) + o, fraction = p - scalar::floor(p);
  ScalarExpr weight = nearest ? (p + o + m) * 0 + 1 : cubic ? cubic_tap(fraction, o) : (1 - o) + (2 * o - 1) * fraction;
  if (padding == "zeros") weight = select(at >= 0 && at < m, weight, 0);
  ScalarExpr inside = padding == "reflection" ? mirrored(at, m, align) : at;
  std::vector<Value*> operands = {position, offsets, length};
  Value* weights = b.map(weight, operands);
  Value* indices = b.map(cast(clipped(inside, 0, m - 1), DType::kI64), operands);
  return {indices, weights, static_cast<int64_t>(taps.size())};
}

}  // namespace

// The grid names the last axis first.
Status grid_sample_for_gradient(DecomposeContext& c) {
  GraphBuilder& b = c.b;
  const Shape x = TRY(known_shape(c.operand(0), "the input")), grid = TRY(known_shape(c.operand(1), "the grid"));
  const auto rank = static_cast<int64_t>(x.size()) - 2;
  Shape result(x.begin(), x.begin() + 2);
  result.insert(result.end(), grid.begin() + 1, grid.end() - 1);
  const Dim points = element_count(std::span<const Dim>(result).subspan(2));
  Value* flat = b.reshape(c.operand(1), {x[0], points, Dim(rank)});
  std::vector<AxisTapValues> axes;
  for (int64_t d = 0; d < rank; ++d) {
    Value* coordinate = b.slice(flat, {rank - 1 - d}, {rank - d}, {2});
    axes.push_back(grid_taps(b, coordinate, x[static_cast<size_t>(d + 2)], c.attrs()));
  }
  c.set(0, b.reshape(sampled_points(b, c.operand(0), x, points, axes), result));
  return {};
}

namespace {

// Where tap t of the window at each point starts along dimension d, [1, taps, points] without offsets.
Value* window_positions(GraphBuilder& b, const Window& window, size_t d, const Shape& output, DType dtype) {
  int64_t taps = 1, behind = 1;
  for (int64_t extent : window.kernel) taps *= extent;
  for (size_t i = d + 1; i < window.rank(); ++i) behind *= window.kernel[i];
  std::vector<double> shifts;
  for (int64_t t = 0; t < taps; ++t) {
    shifts.push_back(static_cast<double>(t / behind % window.kernel[d] * window.dilations[d] - window.pads_begin[d]));
  }
  Shape aligned(window.rank(), Dim(1));
  aligned[d] = output[d];
  Value* steps = b.op("Range", {integer(b, Dim(0)), integer(b, output[d] * window.strides[d]), integer(b, Dim(window.strides[d]))});
  Value* points = b.reshape(b.expand(b.reshape(steps, aligned), output), {Dim(1), Dim(1), element_count(output)});
  return b.add(b.cast(points, dtype), b.reshape(numbers(b, shifts, dtype), {Dim(1), Dim(taps), Dim(1)}));
}

}  // namespace

// The patches, sampled and masked, times the weights.
Status deform_conv_for_gradient(DecomposeContext& c) {
  GraphBuilder& b = c.b;
  const Shape x = TRY(known_shape(c.operand(0), "the input")), w = TRY(known_shape(c.operand(1), "the weights"));
  const Shape offset = TRY(known_shape(c.operand(2), "the offset"));
  const std::optional<Window> window = TRY(convolution_window(c.attrs(), w));
  if (!window || !x[1].is_constant() || !w[0].is_constant()) return unsupported("the gradient needs the extents of the weights");
  const int64_t offset_groups = c.attrs().integer("offset_group"), groups = c.attrs().integer("group");
  const auto rank = static_cast<int64_t>(window->rank());
  int64_t taps = 1;
  for (int64_t extent : window->kernel) taps *= extent;
  const DType dtype = c.operand(0)->type.dtype;
  const Shape output(offset.begin() + 2, offset.end());
  const Dim pixels = element_count(output), fields = x[0] * offset_groups;
  Value* offsets = b.reshape(c.operand(2), {fields, Dim(taps), Dim(rank), pixels});
  Shape grouped = {fields, Dim(x[1].constant() / offset_groups)};
  grouped.insert(grouped.end(), x.begin() + 2, x.end());
  std::vector<AxisTapValues> axes;
  for (int64_t d = 0; d < rank; ++d) {
    const auto axis = static_cast<size_t>(d);
    Value* moved = b.reshape(b.slice(offsets, {d}, {d + 1}, {2}), {fields, Dim(taps), pixels});
    Value* position = b.add(moved, window_positions(b, *window, axis, output, dtype));
    axes.push_back(linear_taps(b, b.reshape(position, {fields, pixels * taps, Dim(1)}), x[axis + 2]));
  }
  Value* patches = sampled_points(b, b.reshape(c.operand(0), grouped), grouped, pixels * taps, axes);
  if (c.operand(4)) patches = b.mul(patches, b.reshape(c.operand(4), {fields, Dim(1), pixels * taps}));
  const int64_t depth = x[1].constant() / groups * taps, channels = w[0].constant() / groups;
  Value* rows = b.reshape(patches, {x[0], Dim(groups), Dim(depth), pixels});
  Value* weights = b.reshape(c.operand(1), {Dim(groups), Dim(channels), Dim(depth)});
  Shape result = {x[0], w[0]};
  result.insert(result.end(), output.begin(), output.end());
  Value* y = b.reshape(b.matmul(weights, rows), result);
  Shape aligned(result.size(), Dim(1));
  aligned[1] = w[0];
  c.set(0, c.operand(3) ? b.add(y, b.reshape(c.operand(3), aligned)) : y);
  return {};
}

}  // namespace gannet
