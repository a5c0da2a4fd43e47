#include "backend/llvm/lower_pad.h"

#include <fmt/format.h>

#include <algorithm>

#include "backend/llvm/lower_node.h"
#include "backend/llvm/lower_views.h"
#include "backend/llvm/region_builder.h"
#include "ir/infer.h"

namespace gannet {
namespace {

constexpr size_t kMostPieces = 27;

ScalarExpr arg(int i) { return ScalarExpr::arg(i); }

bool at_least(const Dim& dim, int64_t bound) { return dim.lower_bound().value_or(bound - 1) >= bound; }

enum class PadMode : uint8_t { kConstant, kReflect, kEdge, kWrap };

// An axis whose extent changes. Negative pads cut first; `count` elements from `first` on are left.
struct PaddedAxis {
  size_t axis = 0;
  Dim before, after;  // what is added
  Dim first, count;
};

struct Padding {
  PadMode mode = PadMode::kConstant;
  std::vector<PaddedAxis> axes;
  bool cuts = false;
};

Result<Padding> padding_of(const Node& node) {
  const Shape& from = *node.input(0)->type.shape;
  const std::string_view mode = node.attrs.text("mode");
  Padding padding;
  padding.mode = mode == "reflect" ? PadMode::kReflect : mode == "edge" ? PadMode::kEdge : mode == "wrap" ? PadMode::kWrap : PadMode::kConstant;
  const auto pads = contents_of(node.input(1));
  const auto axes = node.input(3) ? contents_of(node.input(3)) : std::nullopt;
  if (!pads || (node.input(3) && !axes)) return unsupported("pads that are not known");
  const size_t count = axes ? axes->size() : from.size();
  for (size_t i = 0; i < count; ++i) {
    const Dim &before = (*pads)[i], &after = (*pads)[count + i];
    if (axes && !(*axes)[i].is_constant()) return unsupported("axes that are not known");
    const int64_t axis = axes ? TRY(normalize_axis((*axes)[i].constant(), static_cast<int64_t>(from.size()))) : static_cast<int64_t>(i);
    if (before.is_constant(0) && after.is_constant(0)) continue;
    PaddedAxis padded{static_cast<size_t>(axis), max(before, Dim(0)), max(after, Dim(0)), max(Dim(0) - before, Dim(0)), 0};
    padded.count = from[padded.axis] - padded.first - max(Dim(0) - after, Dim(0));
    padding.cuts |= !at_least(before, 0) || !at_least(after, 0);
    padding.axes.push_back(std::move(padded));
  }
  return padding;
}

// A run of positions along a padded axis: `count` of the result from `to` on are those of the operand at `from`, `step` apart.
struct Run {
  Dim to, from, count;
  int64_t step = 1;
};

// The border before, the middle and the border behind, without what is empty; nothing where a border may repeat more than
// there is once.
std::optional<std::vector<Run>> runs_of(const PaddedAxis& a, PadMode mode) {
  const Dim last = a.count - 1, least = a.count - (mode == PadMode::kReflect ? 1 : 0);
  const bool simple = mode == PadMode::kEdge ? at_least(last, 0) : at_least(least - a.before, 0) && at_least(least - a.after, 0) && at_least(last, 0);
  if (!simple) return std::nullopt;
  std::vector<Run> runs;
  if (mode == PadMode::kReflect) runs = {{0, a.before, a.before, -1}, {a.before + a.count, last - 1, a.after, -1}};
  if (mode == PadMode::kEdge) runs = {{0, 0, a.before, 0}, {a.before + a.count, last, a.after, 0}};
  if (mode == PadMode::kWrap) runs = {{0, a.count - a.before, a.before, 1}, {a.before + a.count, 0, a.after, 1}};
  runs.insert(runs.begin() + 1, Run{a.before, 0, a.count, 1});
  std::erase_if(runs, [](const Run& run) { return run.count.is_constant(0); });
  for (Run& run : runs) run.from = run.from + a.first;
  return runs;
}

// Every combination of a run for each padded axis is a copy.
Result<std::vector<KernelPlan>> copies(const Node& node, const Padding& padding, const std::vector<std::vector<Run>>& runs, Isa isa) {
  const Value *x = node.input(0), *y = node.output();
  const std::vector<Dim> from_strides = dense_strides(*x->type.shape), to_strides = dense_strides(*y->type.shape);
  std::vector<KernelPlan> plans;
  std::vector<size_t> choice(padding.axes.size(), 0);
  while (true) {
    CopyWindow from{x, from_strides, 0}, to{y, to_strides, 0};
    Shape extents = *x->type.shape;
    for (size_t i = 0; i < choice.size(); ++i) {
      const size_t axis = padding.axes[i].axis;
      const Run& run = runs[i][choice[i]];
      extents[axis] = run.count;
      from.offset = from.offset + run.from * from_strides[axis];
      from.strides[axis] = from_strides[axis] * run.step;
      to.offset = to.offset + run.to * to_strides[axis];
    }
    plans.push_back(TRY(plan_copy(from, to, extents, isa)));
    size_t i = 0;
    while (i < choice.size() && ++choice[i] == runs[i].size()) choice[i++] = 0;
    if (i == choice.size()) return plans;
  }
}

Result<std::vector<KernelPlan>> filled(const Node& node, const Padding& padding, Isa isa) {
  const Value *x = node.input(0), *y = node.output();
  const std::vector<Dim> strides = dense_strides(*y->type.shape);
  CopyWindow from{x, dense_strides(*x->type.shape), 0}, to{y, strides, 0};
  for (const PaddedAxis& axis : padding.axes) to.offset = to.offset + axis.before * strides[axis.axis];
  std::vector<KernelPlan> plans;
  plans.push_back(TRY(plan_fill(y, node.input(2), isa)));
  plans.push_back(TRY(plan_copy(from, to, *x->type.shape, isa)));
  return plans;
}

// Where position `i` of the result comes from, counted from the first element that is left; operand 1 is `before`, 2
// `count`. The reference: source_positions in ir/ops/pad.cpp.
ScalarExpr source_position(PadMode mode) {
  const ScalarExpr at = arg(0) - arg(1), count = arg(2), last = count - 1;
  if (mode == PadMode::kWrap) return scalar::floor_mod(at, count);
  if (mode != PadMode::kReflect) return scalar::min(scalar::max(at, 0), last);
  const ScalarExpr period = scalar::max(last * 2, 1), in_period = scalar::floor_mod(at, period);
  return select(in_period < count, in_period, period - in_period);
}

// One kernel that reads every element at an offset of its own.
Result<KernelPlan> by_offsets(const Node& node, const Padding& padding, Isa isa) {
  const Value *x = node.input(0), *y = node.output(), *filler = node.input(2);
  const Shape& shape = *y->type.shape;
  const DType dtype = movement_type_of(x->type.dtype);
  if (dtype == DType::kUndefined) return unsupported(fmt::format("{} elements", name_of(x->type.dtype)));
  RegionBuilder builder(isa);
  builder.add_source(x);
  const std::vector<Dim> strides = dense_strides(*x->type.shape);
  const auto map = [&](const ScalarExpr& body, std::vector<Element> operands) -> Result<Element> {
    Shape extents = operands[0].extents;
    for (const Element& operand : operands) extents = TRY(broadcast_shapes(extents, operand.extents));
    return builder.map(body, operands, extents);
  };
  const auto size = [&](const Dim& dim) { return builder.size(dim, DType::kI64); };
  std::vector<bool> by_offset(shape.size(), false);
  std::optional<Element> offset, inside;
  for (const PaddedAxis& a : padding.axes) {
    by_offset[a.axis] = true;
    // Where there are no elements to repeat, there must be no result; and what is cut must exist.
    if (padding.mode == PadMode::kConstant && !at_least(a.count, 1)) return unsupported("an extent that may be cut to nothing");
    builder.require_equal(a.count, max(a.count, min(shape[a.axis], Dim(1))));
    const Element i = builder.positions(shape.size(), a.axis, shape[a.axis]);
    const ScalarExpr source = (source_position(padding.mode) + arg(3)) * arg(4);
    Element part = TRY(map(source, {i, size(a.before), size(a.count), size(a.first), size(strides[a.axis])}));
    offset = offset ? TRY(map(arg(0) + arg(1), {*offset, part})) : std::move(part);
    if (padding.mode != PadMode::kConstant) continue;
    Element within = TRY(map(arg(0) >= arg(1) && arg(0) < arg(1) + arg(2), {i, size(a.before), size(a.count)}));
    inside = inside ? TRY(map(arg(0) && arg(1), {*inside, within})) : std::move(within);
  }
  if (!offset) return unsupported("nothing to pad");
  const Element data = builder.viewed({0, dtype, *x->type.shape, strides, 0});
  Element value = builder.sample(data, *offset, shape, by_offset);
  if (inside) {
    Element fill = builder.zeros(dtype, {});
    if (filler) {
      fill = builder.viewed({1, dtype, {}, {}, 0});
      builder.add_source(filler);
    }
    value = TRY(map(select(arg(0), arg(1), arg(2)), {*inside, value, fill}));
  }
  builder.store(value, y);
  return builder.finish();
}

}  // namespace

Result<std::vector<KernelPlan>> plan_pad(const Node& node, Isa isa) {
  const Padding padding = TRY(padding_of(node));
  if (padding.mode == PadMode::kConstant && !padding.cuts) return filled(node, padding, isa);
  std::vector<std::vector<Run>> runs;
  size_t pieces = 1;
  for (const PaddedAxis& axis : padding.axes) {
    std::optional<std::vector<Run>> parts = padding.mode == PadMode::kConstant ? std::nullopt : runs_of(axis, padding.mode);
    if (!parts || padding.cuts) break;
    pieces *= parts->size();
    runs.push_back(*std::move(parts));
  }
  if (runs.size() == padding.axes.size() && pieces <= kMostPieces) return copies(node, padding, runs, isa);
  std::vector<KernelPlan> plans;
  plans.push_back(TRY(by_offsets(node, padding, isa)));
  return plans;
}

}  // namespace gannet
