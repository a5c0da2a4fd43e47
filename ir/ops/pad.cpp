// Ops that add to the border of a tensor or cut it off: Pad, CenterCropPad.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "ir/ops/element_copy.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"

namespace gannet {
namespace {

constexpr AttrDef kPadAttrs[] = {string_attr("mode", "constant")};
constexpr AttrDef kCenterAttrs[] = {optional_attr("axes", AttrKind::kInts)};

// The axes that pads refer to: those given, else all.
Result<std::vector<int64_t>> padded_axes(const std::optional<std::vector<int64_t>>& given, int64_t rank) {
  std::vector<int64_t> axes;
  if (given) return ordered_axes(*given, rank);
  for (int64_t i = 0; i < rank; ++i) axes.push_back(i);
  return axes;
}

Status check_pad_operands(const InferContext& c) {
  TRY(expect_tensors(c, 2));
  TRY(expect_choice(c, "mode", {"constant", "reflect", "edge", "wrap"}));
  TRY(expect_dtype(c, 1, DType::kI64, "pads"));
  TRY(expect_list(c, 1, "pads"));
  if (c.has(2)) {
    TRY(expect_same_dtype(c, 0, 2));
    TRY(expect_single(c, 2, "constant_value"));
  }
  if (c.has(3)) {
    TRY(expect_index(c, 3, "axes"));
    TRY(expect_list(c, 3, "axes"));
  }
  return {};
}

// The extent of an axis after padding.
Result<Dim> padded_extent(const Dim& extent, const Dim& before, const Dim& after, int64_t axis, bool constant_mode) {
  if (!extent.is_constant() || !before.is_constant() || !after.is_constant()) return extent + before + after;
  constexpr int64_t kMost = int64_t{1} << 60;
  const auto sane = [](const Dim& dim) { return dim.constant() >= -kMost && dim.constant() <= kMost; };
  std::optional<int64_t> total;
  if (sane(extent) && sane(before) && sane(after)) total = extent.constant() + before.constant() + after.constant();
  if (!total || *total < 0) {
    return invalid_model(fmt::format("pads {} and {} of axis {} do not fit an extent of {}", before.constant(), after.constant(),
                                     axis, extent.constant()));
  }
  // The other modes repeat elements, of which there must be some left.
  const auto cut = [](const Dim& pad) { return pad.constant() < 0 ? pad.constant() : 0; };
  if (!constant_mode && *total > 0 && extent.constant() + cut(before) + cut(after) <= 0) {
    return invalid_model(fmt::format("axis {} of extent {} has no element to repeat for pads {} and {}", axis, extent.constant(),
                                     before.constant(), after.constant()));
  }
  return Dim(*total);
}

Status infer_pad(InferContext& c) {
  TRY(check_pad_operands(c));
  const Shape* x = c.shape(0);
  if (!x) {
    c.set_tensor(0, c.dtype(0), std::nullopt);
    return {};
  }
  const int64_t rank = static_cast<int64_t>(x->size());
  const std::optional<std::vector<int64_t>> given = known_ints(c, 3);
  if (c.has(3) && !given) {
    c.set_tensor(0, c.dtype(0), fresh_shape(c, rank, "padded"));
    return {};
  }
  const std::vector<int64_t> axes = TRY(padded_axes(given, rank));
  const std::optional<int64_t> length = list_length(c, 1);
  if (length && *length != 2 * static_cast<int64_t>(axes.size())) {
    return invalid_model(fmt::format("pads has {} elements for {} axes", *length, axes.size()));
  }
  const std::optional<std::vector<Dim>> pads = short_contents(c, 1);
  Shape shape = *x;
  for (size_t i = 0; i < axes.size(); ++i) {
    Dim& extent = shape[static_cast<size_t>(axes[i])];
    if (!pads) extent = c.fresh("padded");
    else extent = TRY(padded_extent(extent, (*pads)[i], (*pads)[axes.size() + i], axes[i], c.attrs().text("mode") == "constant"));
  }
  c.set_tensor(0, c.dtype(0), std::move(shape));
  return {};
}

struct AxisPads {
  std::vector<int64_t> before, after;  // one for every axis of the tensor
};

Result<AxisPads> axis_pads(const EvalContext& c) {
  const auto rank = static_cast<size_t>(c.tensor(0).rank());
  std::optional<std::vector<int64_t>> given;
  if (c.has(3)) given = c.tensor(3).ints();
  const std::vector<int64_t> axes = TRY(padded_axes(given, static_cast<int64_t>(rank))), pads = c.tensor(1).ints();
  AxisPads result{std::vector<int64_t>(rank, 0), std::vector<int64_t>(rank, 0)};
  for (size_t i = 0; i < axes.size(); ++i) {
    result.before[static_cast<size_t>(axes[i])] = pads[i];
    result.after[static_cast<size_t>(axes[i])] = pads[axes.size() + i];
  }
  return result;
}

int64_t positive_modulo(int64_t value, int64_t period) { return ((value % period) + period) % period; }

// Where each position of a padded axis takes its element from. Negative pads cut first; the rest repeats what is left.
std::vector<int64_t> source_positions(std::string_view mode, int64_t extent, int64_t before, int64_t after, int64_t padded) {
  const int64_t first = std::max<int64_t>(0, -before), count = extent - first - std::max<int64_t>(0, -after);
  std::vector<int64_t> positions(static_cast<size_t>(padded));
  for (int64_t i = 0; i < padded; ++i) {
    int64_t at = i - std::max<int64_t>(0, before);
    if (mode == "edge") {
      at = std::clamp<int64_t>(at, 0, count - 1);
    } else if (mode == "wrap") {
      at = positive_modulo(at, count);
    } else {
      const int64_t period = std::max<int64_t>(1, 2 * (count - 1));
      at = positive_modulo(at, period);
      if (at >= count) at = period - at;
    }
    positions[static_cast<size_t>(i)] = first + at;
  }
  return positions;
}

// target[i0, i1, ...] = source[positions[0][i0], positions[1][i1], ...].
void copy_positions(const Tensor& source, Tensor& target, const std::vector<std::vector<int64_t>>& positions) {
  if (target.elements() == 0) return;
  const ElementMover mover(source, target);
  const std::vector<int64_t> strides = row_major_strides(source.extents());
  const size_t last = positions.size() - 1;
  std::vector<size_t> at(positions.size(), 0);
  int64_t written = 0;
  while (true) {
    int64_t base = 0;
    for (size_t axis = 0; axis < last; ++axis) base += positions[axis][at[axis]] * strides[axis];
    const std::vector<int64_t>& row = positions[last];
    for (size_t i = 0; i < row.size();) {
      size_t end = i + 1;
      while (end < row.size() && row[end] == row[end - 1] + 1) ++end;
      mover.copy(written, base + row[i], static_cast<int64_t>(end - i));
      written += static_cast<int64_t>(end - i);
      i = end;
    }
    size_t axis = last;
    while (axis > 0 && ++at[axis - 1] == positions[axis - 1].size()) at[--axis] = 0;
    if (axis == 0) return;
  }
}

Status eval_pad(EvalContext& c) {
  const Tensor& x = c.tensor(0);
  const AxisPads pads = TRY(axis_pads(c));
  Tensor y = TRY(allocate_inferred(c));
  const std::string_view mode = c.attrs().text("mode");
  if (mode == "constant") {
    if (c.has(2)) fill_with(y, c.tensor(2));
    else fill_zero(y);
    std::vector<int64_t> offsets;
    for (int64_t before : pads.before) offsets.push_back(-before);
    copy_window(x, y, offsets);
  } else if (x.rank() == 0) {
    fill_with(y, x);
  } else if (y.elements() > 0) {
    std::vector<std::vector<int64_t>> positions;
    for (size_t i = 0; i < x.extents().size(); ++i) {
      positions.push_back(source_positions(mode, x.extents()[i], pads.before[i], pads.after[i], y.extents()[i]));
    }
    copy_positions(x, y, positions);
  }
  c.set(std::move(y));
  return {};
}

// Where elements are repeated, each collects the gradients of its copies: along each axis the positions that the same
// padding gives.
Status repeating_pad_vjp(VjpContext& c, const std::vector<Dim>& pads) {
  const Shape shape = TRY(known_shape(c.operand(0), "the input"));
  std::optional<std::vector<int64_t>> given;
  if (c.operand(3)) given = constant_ints(c.operand(3));
  if (c.operand(3) && !given) return unsupported("the gradient needs the axes, which are not known");
  const std::vector<int64_t> axes = TRY(padded_axes(given, static_cast<int64_t>(shape.size())));
  Value* dx = c.gradient();
  Shape extents = TRY(known_shape(dx, "the gradient"));
  auto integer = [&](int64_t value) { return c.b.constant(Tensor::scalar<int64_t>(value)); };
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto axis = static_cast<size_t>(axes[i]);
    const Dim &before = pads[i], &after = pads[axes.size() + i];
    if (before.is_constant(0) && after.is_constant(0)) continue;
    Value* range = c.b.op("Range", {integer(0), c.b.squeeze(c.b.dims({shape[axis]}), {0}), integer(1)});
    Value* positions = c.b.op("Pad", {range, c.b.dims({before, after})}, {{"mode", std::string(c.attrs().text("mode"))}});
    extents[axis] = shape[axis];
    dx = c.b.op("GatherGradient", {dx, positions, c.b.dims(extents)}, {{"axis", axes[i]}});
  }
  c.set(0, dx);
  return {};
}

// The gradient of what was padded is cut out by the negated pads; the padding value gets all the rest.
Status pad_vjp(VjpContext& c) {
  if (!c.wants(0)) return {};
  const std::optional<std::vector<Dim>> pads = dims_of(c.operand(1));
  if (!pads) return unsupported("the gradient needs the pads, which are not known");
  if (c.attrs().text("mode") != "constant") return repeating_pad_vjp(c, *pads);
  std::vector<Dim> negated;
  for (const Dim& pad : *pads) negated.push_back(Dim(0) - pad);
  Value* inside = c.b.op("Pad", {c.gradient(), c.b.dims(negated), nullptr, c.operand(3)});
  c.set(0, inside);
  if (!c.wants(2)) return {};
  std::vector<int64_t> axes(TRY(known_shape(c.operand(0), "the input")).size());
  std::iota(axes.begin(), axes.end(), 0);
  Value* rest = c.b.sub(c.b.reduce_sum(c.gradient(), axes, false), c.b.reduce_sum(inside, axes, false));
  c.set(2, c.b.reshape(rest, TRY(known_shape(c.operand(2), "the padding value"))));
  return {};
}

Status infer_center_crop_pad(InferContext& c) {
  TRY(expect_tensors(c, 2));
  TRY(expect_index(c, 1, "shape"));
  TRY(expect_list(c, 1, "shape"));
  const Shape* x = c.shape(0);
  if (!x) {
    c.set_tensor(0, c.dtype(0), std::nullopt);
    return {};
  }
  std::optional<std::vector<int64_t>> given;
  if (c.attrs().has("axes")) given = c.attrs().integers("axes");
  const std::vector<int64_t> axes = TRY(padded_axes(given, static_cast<int64_t>(x->size())));
  const std::optional<int64_t> length = list_length(c, 1);
  if (length && *length != static_cast<int64_t>(axes.size())) {
    return invalid_model(fmt::format("shape has {} elements for {} axes", *length, axes.size()));
  }
  const std::optional<std::vector<Dim>> wanted = short_contents(c, 1);
  Shape shape = *x;
  for (size_t i = 0; i < axes.size(); ++i) {
    Dim& extent = shape[static_cast<size_t>(axes[i])];
    extent = wanted ? (*wanted)[i] : c.fresh("centered");
    if (extent.is_constant() && extent.constant() < 0) return invalid_model(fmt::format("shape has the negative extent {}", extent.constant()));
  }
  c.set_tensor(0, c.dtype(0), std::move(shape));
  return {};
}

// What was cut off around the centre is padded back, and the other way round.
Status center_crop_pad_vjp(VjpContext& c) {
  if (!c.wants(0)) return {};
  const Shape shape = TRY(known_shape(c.operand(0), "the input"));
  std::vector<Dim> wanted = shape;
  if (c.attrs().has("axes")) {
    wanted.clear();
    for (int64_t axis : TRY(ordered_axes(c.attrs().integers("axes"), static_cast<int64_t>(shape.size())))) {
      wanted.push_back(shape[static_cast<size_t>(axis)]);
    }
  }
  c.set(0, c.b.op("CenterCropPad", {c.gradient(), c.b.dims(wanted)}, c.attrs()));
  return {};
}

Status eval_center_crop_pad(EvalContext& c) {
  const Tensor& x = c.tensor(0);
  Tensor y = TRY(allocate_inferred(c));
  fill_zero(y);
  std::vector<int64_t> offsets;
  for (size_t i = 0; i < x.extents().size(); ++i) {
    const int64_t excess = x.extents()[i] - y.extents()[i];
    offsets.push_back(excess > 0 ? excess / 2 : -(-excess / 2));
  }
  copy_window(x, y, offsets);
  c.set(std::move(y));
  return {};
}

}  // namespace

constinit const StructuredOp ops::Pad = {
    .inputs = {2, 4}, .outputs = {1, 1}, .attrs = kPadAttrs, .infer = infer_pad, .eval = eval_pad};
constinit const GradientRule gradients::Pad = {.vjp = pad_vjp};
constinit const StructuredOp ops::CenterCropPad = {.inputs = {2, 2}, .outputs = {1, 1}, .attrs = kCenterAttrs,
    .infer = infer_center_crop_pad, .eval = eval_center_crop_pad};
constinit const GradientRule gradients::CenterCropPad = {.vjp = center_crop_pad_vjp};

}  // namespace gannet
