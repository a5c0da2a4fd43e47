// Slice, over integer and symbolic bounds.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "ir/ops/element_copy.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"

namespace gannet {
namespace {

// Bounds at or beyond this mean "to the end", whatever the extent.
constexpr int64_t kHugeBound = std::numeric_limits<int32_t>::max();

// Which elements of an axis a slice takes: first, first + step, ...
struct AxisSlice {
  int64_t first = 0;
  int64_t step = 1;
  int64_t count = 0;
};

uint64_t magnitude(int64_t step) { return step < 0 ? uint64_t{0} - static_cast<uint64_t>(step) : static_cast<uint64_t>(step); }

// ONNX's rule for start:end:step on an axis of `extent`; step is not 0. It is Python's but for a start before the
// axis with a negative step, which ONNX takes as the first element and Python as nothing.
AxisSlice slice_axis(int64_t extent, int64_t start, int64_t end, int64_t step) {
  const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? extent : extent - 1;
  const auto clamped = [&](int64_t bound) { return std::clamp(bound < 0 ? bound + extent : bound, low, high); };
  const int64_t first = std::max(clamped(start), std::min<int64_t>(0, high)), last = clamped(end);
  const int64_t span = step > 0 ? last - first : first - last;
  if (span <= 0) return {first, step, 0};
  return {first, step, static_cast<int64_t>(static_cast<uint64_t>(span - 1) / magnitude(step)) + 1};
}

// A bound counted from the start of an axis of `extent`, at least 0; nothing when its sign is not known.
std::optional<Dim> from_start(const Dim& bound, const Dim& extent) {
  if (bound.is_constant()) {
    if (bound.constant() >= 0) return bound;
    if (bound.constant() <= -kHugeBound) return Dim(0);
    return max(extent + bound, Dim(0));
  }
  if (bound.lower_bound().value_or(-1) >= 0) return bound;
  return std::nullopt;
}

// What a symbolic slice takes; nothing where it depends on what is not known.
struct SymbolicSlice {
  Dim first;
  Dim count;
};
std::optional<SymbolicSlice> slice_symbolic(const Dim& extent, const Dim& start, const Dim& end, int64_t step) {
  if (step < 0) {
    const bool whole = start.is_constant() && (start.is_constant(-1) || start.constant() >= kHugeBound) && end.is_constant() &&
                       end.constant() <= -kHugeBound;
    if (!whole || step < -kHugeBound) return std::nullopt;
    return SymbolicSlice{extent - 1, ceildiv(extent, Dim(-step))};
  }
  const std::optional<Dim> first = from_start(start, extent), last = from_start(end, extent);
  if (!first || !last) return std::nullopt;
  const bool to_end = end.is_constant() && end.constant() >= kHugeBound;
  Dim span;
  if (to_end && start.is_constant() && start.constant() < 0 && start.constant() > -kHugeBound) {
    span = min(extent, Dim(-start.constant()));
  } else {
    span = (to_end ? extent : min(*last, extent)) - *first;
    if (span.lower_bound().value_or(-1) < 0) span = max(span, Dim(0));
  }
  return SymbolicSlice{*first, ceildiv(span, Dim(step))};
}

// The bounds of a slice, one for each sliced axis.
struct Bounds {
  std::vector<int64_t> axes;
  std::vector<Dim> starts, ends;
  std::vector<int64_t> steps;
};

Status check_operands(const InferContext& c) {
  static constexpr std::string_view kRoles[] = {"data", "starts", "ends", "axes", "steps"};
  TRY(expect_tensors(c, 3));
  const std::optional<int64_t> count = list_length(c, 1);
  for (size_t i = 1; i < c.operand_count(); ++i) {
    if (!c.has(i)) continue;
    TRY(expect_index(c, i, kRoles[i]));
    TRY(expect_list(c, i, kRoles[i]));
    const std::optional<int64_t> length = list_length(c, i);
    if (length && count && *length != *count) {
      return invalid_model(fmt::format("{} has {} elements, starts has {}", kRoles[i], *length, *count));
    }
  }
  const std::optional<std::vector<int64_t>> steps = known_ints(c, 4);
  if (steps && std::ranges::find(*steps, 0) != steps->end()) return invalid_model("a step is 0");
  return {};
}

// The axes that are sliced; nothing where not even they are known.
Result<std::optional<std::vector<int64_t>>> sliced_axes(const InferContext& c, int64_t rank) {
  using Axes = std::optional<std::vector<int64_t>>;
  std::vector<int64_t> axes;
  if (c.has(3)) {
    const Axes given = known_ints(c, 3);
    if (!given) return Axes();
    axes = *given;
  } else {
    const std::optional<int64_t> count = list_length(c, 1);
    if (!count) return Axes();
    if (*count > rank) return invalid_model(fmt::format("starts has {} elements for an input of rank {}", *count, rank));
    for (int64_t i = 0; i < *count; ++i) axes.push_back(i);
  }
  return Axes(TRY(ordered_axes(axes, rank)));
}

std::optional<Bounds> known_bounds(const InferContext& c, std::vector<int64_t> axes) {
  Bounds bounds{std::move(axes), {}, {}, {}};
  std::optional<std::vector<Dim>> starts = short_contents(c, 1), ends = short_contents(c, 2);
  if (!starts || !ends) return std::nullopt;
  bounds.starts = std::move(*starts);
  bounds.ends = std::move(*ends);
  if (!c.has(4)) {
    bounds.steps.assign(bounds.axes.size(), 1);
  } else if (std::optional<std::vector<int64_t>> steps = known_ints(c, 4)) {
    bounds.steps = std::move(*steps);
  } else {
    return std::nullopt;
  }
  const size_t count = bounds.axes.size();
  if (bounds.starts.size() != count || bounds.ends.size() != count || bounds.steps.size() != count) return std::nullopt;
  return bounds;
}

bool is_integral(const Bounds& bounds, size_t i) { return bounds.starts[i].is_constant() && bounds.ends[i].is_constant(); }

// The part of a list's contents that a slice takes.
void slice_contents(InferContext& c, const Bounds& bounds) {
  const std::optional<std::vector<Dim>> contents = short_contents(c, 0);
  if (!contents || !c.shape(0) || c.shape(0)->size() != 1) return;
  std::vector<Dim> taken = *contents;
  if (!bounds.axes.empty()) {
    if (!is_integral(bounds, 0)) return;
    const AxisSlice slice = slice_axis(static_cast<int64_t>(contents->size()), bounds.starts[0].constant(),
                                       bounds.ends[0].constant(), bounds.steps[0]);
    taken.clear();
    for (int64_t i = 0; i < slice.count; ++i) taken.push_back((*contents)[static_cast<size_t>(slice.first + i * slice.step)]);
  }
  c.set_contents(0, std::move(taken));
}

Status infer_slice(InferContext& c) {
  TRY(check_operands(c));
  const Shape* x = c.shape(0);
  if (!x) {
    c.set_tensor(0, c.dtype(0), std::nullopt);
    return {};
  }
  const int64_t rank = static_cast<int64_t>(x->size());
  const std::optional<std::vector<int64_t>> axes = TRY(sliced_axes(c, rank));
  if (!axes) {
    c.set_tensor(0, c.dtype(0), fresh_shape(c, rank, "sliced"));
    return {};
  }
  Shape shape = *x;
  const std::optional<Bounds> bounds = known_bounds(c, *axes);
  for (size_t i = 0; i < axes->size(); ++i) {
    Dim& extent = shape[static_cast<size_t>((*axes)[i])];
    if (bounds && extent.is_constant() && is_integral(*bounds, i)) {
      extent = slice_axis(extent.constant(), bounds->starts[i].constant(), bounds->ends[i].constant(), bounds->steps[i]).count;
      continue;
    }
    std::optional<SymbolicSlice> slice;
    if (bounds) slice = slice_symbolic(extent, bounds->starts[i], bounds->ends[i], bounds->steps[i]);
    extent = slice ? slice->count : c.fresh("sliced");
  }
  if (bounds) slice_contents(c, *bounds);
  c.set_tensor(0, c.dtype(0), std::move(shape));
  return {};
}

Status eval_slice(EvalContext& c) {
  const Tensor& x = c.tensor(0);
  Tensor y = TRY(allocate_inferred(c));
  StridedWalk walk{y.extents(), row_major_strides(x.extents()), row_major_strides(y.extents()), 0, 0};
  const std::vector<int64_t> starts = c.tensor(1).ints(), ends = c.tensor(2).ints();
  for (size_t i = 0; i < starts.size(); ++i) {
    const int64_t given = c.has(3) ? c.tensor(3).int_at(static_cast<int64_t>(i)) : static_cast<int64_t>(i);
    const auto axis = static_cast<size_t>(given < 0 ? given + x.rank() : given);
    const int64_t step = c.has(4) ? c.tensor(4).int_at(static_cast<int64_t>(i)) : 1;
    const AxisSlice slice = slice_axis(x.extents()[axis], starts[i], ends[i], step);
    // A step beyond the extent takes one element, and is never multiplied.
    walk.source_start += slice.count > 0 ? slice.first * walk.source_strides[axis] : 0;
    walk.source_strides[axis] = slice.count > 1 ? walk.source_strides[axis] * step : 0;
  }
  if (y.elements() > 0) copy_strided(x, y, walk);
  c.set(std::move(y));
  return {};
}

// One sliced axis of the gradient put back where it came from: reversed for a negative step, spread by zeros for a
// step beyond 1, then padded.
struct AxisAdjoint {
  size_t axis = 0;
  Dim extent, first, count;
  int64_t step = 1;
};

Value* pad_axis(GraphBuilder& b, Value* x, size_t axis, const Dim& before, const Dim& after) {
  if (before.is_constant(0) && after.is_constant(0)) return x;
  return b.op("Pad", {x, b.dims({before, after}), nullptr, b.ints({static_cast<int64_t>(axis)})});
}

Value* unslice_axis(GraphBuilder& b, Value* gradient, const Shape& shape, AxisAdjoint a) {
  const int64_t axis = static_cast<int64_t>(a.axis);
  if (a.step < 0) {
    gradient = b.slice(gradient, {-1}, {std::numeric_limits<int64_t>::min()}, {axis}, {-1});
    a.first = a.first + (a.count - 1) * a.step;
    a.step = -a.step;
  }
  Dim length = a.count;
  if (a.step > 1) {
    gradient = pad_axis(b, b.unsqueeze(gradient, {axis + 1}), a.axis + 1, 0, a.step - 1);
    length = a.count * a.step;
    Shape spread = shape;
    spread[a.axis] = length;
    gradient = b.reshape(gradient, spread);
  }
  return pad_axis(b, gradient, a.axis, a.first, a.extent - a.first - length);
}

Status slice_vjp(VjpContext& c) {
  if (!c.wants(0)) return {};
  const Shape x = TRY(known_shape(c.operand(0), "the input")), y = TRY(known_shape(c.output(), "the result"));
  const std::optional<std::vector<Dim>> starts = dims_of(c.operand(1)), ends = dims_of(c.operand(2));
  const std::optional<std::vector<Dim>> axes = dims_of(c.operand(3)), steps = dims_of(c.operand(4));
  const bool known = starts && ends && (axes || !c.operand(3)) && (steps || !c.operand(4));
  if (!known || (axes && !is_static(*axes)) || (steps && !is_static(*steps))) {
    return unsupported("the gradient needs the bounds of the slice, which are not known");
  }
  Value* gradient = c.gradient();
  Shape shape = y;
  for (size_t i = 0; i < starts->size(); ++i) {
    const int64_t given = axes ? (*axes)[i].constant() : static_cast<int64_t>(i);
    AxisAdjoint a;
    a.axis = static_cast<size_t>(given < 0 ? given + static_cast<int64_t>(x.size()) : given);
    a.extent = x[a.axis];
    a.count = y[a.axis];
    a.step = steps ? (*steps)[i].constant() : 1;
    const Dim &start = (*starts)[i], &end = (*ends)[i];
    if (a.extent.is_constant() && start.is_constant() && end.is_constant()) {
      const AxisSlice slice = slice_axis(a.extent.constant(), start.constant(), end.constant(), a.step);
      a.first = slice.count > 0 ? slice.first : 0;
      if (slice.count <= 1) a.step = 1;
    } else if (const std::optional<SymbolicSlice> slice = slice_symbolic(a.extent, start, end, a.step)) {
      a.first = slice->first;
    } else {
      return unsupported(fmt::format("the gradient needs the bounds of the slice along axis {}, which are not known", a.axis));
    }
    gradient = unslice_axis(c.b, gradient, shape, a);
    shape[a.axis] = a.extent;
  }
  c.set(0, gradient);
  return {};
}

}  // namespace

constinit const StructuredOp ops::Slice = {
    .inputs = {3, 5}, .outputs = {1, 1}, .attrs = {}, .infer = infer_slice, .eval = eval_slice};
constinit const GradientRule gradients::Slice = {.vjp = slice_vjp};

}  // namespace gannet
