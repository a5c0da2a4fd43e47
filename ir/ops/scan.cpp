#include <fmt/format.h>

#include <algorithm>

#include "ir/ops/concat.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"
#include "ir/ops/subgraph.h"
#include "ir/ops/subgraph_gradient.h"

namespace gannet {
namespace {

constexpr AttrDef kScanAttrs[] = {required_attr("body", AttrKind::kGraph), required_attr("num_scan_inputs", AttrKind::kInt),
                                  optional_attr("scan_input_axes", AttrKind::kInts), optional_attr("scan_input_directions", AttrKind::kInts),
                                  optional_attr("scan_output_axes", AttrKind::kInts), optional_attr("scan_output_directions", AttrKind::kInts),
                                  int_attr("captures", 0), int_attr("saved", 0)};

// How the operands and results divide: states first, then scanned ones.
struct ScanLayout {
  size_t states = 0, inputs = 0, outputs = 0, captures = 0;
};

// Element i of an attribute with one entry for each scanned value, 0 where it is not given.
int64_t entry(const Attributes& attrs, std::string_view name, size_t i) {
  return attrs.has(name) ? attrs.integers(name)[i] : 0;
}

Status check_entries(const InferContext& c, std::string_view name, size_t count, bool direction) {
  if (!c.attrs().has(name)) return {};
  const std::vector<int64_t>& entries = c.attrs().integers(name);
  if (entries.size() != count) return invalid_model(fmt::format("{} has {} entries for {} values", name, entries.size(), count));
  for (int64_t value : entries) {
    if (direction && value != 0 && value != 1) return invalid_model(fmt::format("{} has {}, which is neither 0 nor 1", name, value));
  }
  return {};
}

Result<ScanLayout> scan_layout(const InferContext& c) {
  ScanLayout layout;
  const int64_t scanned = c.attrs().integer("num_scan_inputs");
  if (scanned < 1 || scanned > static_cast<int64_t>(c.operand_count())) {
    return invalid_model(fmt::format("num_scan_inputs {} does not fit {} operands", scanned, c.operand_count()));
  }
  layout.inputs = static_cast<size_t>(scanned);
  layout.captures = TRY(capture_count(c, layout.inputs));
  layout.states = c.operand_count() - layout.inputs - layout.captures;
  Graph* body = TRY(checked_subgraph(c, "body", c.operand_count(), std::max(layout.states, c.output_count())));
  layout.outputs = body->outputs.size() - layout.states;
  TRY(check_entries(c, "scan_input_axes", layout.inputs, false));
  TRY(check_entries(c, "scan_input_directions", layout.inputs, true));
  TRY(check_entries(c, "scan_output_axes", layout.outputs, false));
  TRY(check_entries(c, "scan_output_directions", layout.outputs, true));
  return layout;
}

// Types of one slice of each scanned operand; `length` becomes the number of slices.
Result<std::vector<Type>> slice_types(InferContext& c, const ScanLayout& layout, std::optional<Dim>& length) {
  std::vector<Type> types;
  for (size_t i = 0; i < layout.inputs; ++i) {
    Type type = c.type(layout.states + i);
    if (type.shape) {
      const int64_t axis = TRY(normalize_axis(entry(c.attrs(), "scan_input_axes", i), type.rank()));
      const Dim extent = (*type.shape)[static_cast<size_t>(axis)];
      Result<Dim> same = same_dim(length ? *length : extent, extent, axis);
      if (!same.ok()) return with_prefix("scan inputs differ in length: ", same.error());
      length = *same;
      type.shape->erase(type.shape->begin() + axis);
    }
    types.push_back(std::move(type));
  }
  return types;
}

Status infer_scan(InferContext& c) {
  TRY(expect_tensors(c, c.operand_count()));
  const ScanLayout layout = TRY(scan_layout(c));
  std::optional<Dim> length;
  std::vector<Type> tail = TRY(slice_types(c, layout, length));
  for (Type& type : TRY(capture_types(c, layout.captures))) tail.push_back(std::move(type));
  CarriedTypes carried;
  for (size_t i = 0; i < layout.states; ++i) carried.types.push_back(c.type(i));
  Graph& body = *c.attrs().graph("body");
  const std::vector<Type> outputs = TRY(infer_repeated(c, body, {}, carried, tail, layout.captures, 0));
  const Dim stacked = length ? *length : c.fresh("scanned");
  for (size_t i = 0; i < c.output_count(); ++i) {
    if (i < layout.states) {
      c.set(i, outside_type(c, carried.types[i]));
      continue;
    }
    Type type = outside_type(c, outputs[i]);
    if (!type.is_tensor()) return invalid_model(fmt::format("scan output {} must be a tensor, got {}", i - layout.states, to_string(type)));
    if (type.shape) {
      const int64_t axis = TRY(normalize_axis(entry(c.attrs(), "scan_output_axes", i - layout.states), type.rank() + 1));
      type.shape->insert(type.shape->begin() + axis, stacked);
    }
    c.set(i, std::move(type));
  }
  return {};
}

// Slice number `step` of scanned operand i.
Result<Tensor> slice_of(EvalContext& c, const ScanLayout& layout, size_t i, int64_t step) {
  const Tensor& x = c.tensor(layout.states + i);
  const int64_t axis = TRY(normalize_axis(entry(c.attrs(), "scan_input_axes", i), x.rank()));
  const int64_t at = entry(c.attrs(), "scan_input_directions", i) ? x.extent(axis) - 1 - step : step;
  std::vector<int64_t> extents = x.extents();
  extents.erase(extents.begin() + axis);
  return TRY(take_along(c, x, axis, at, 1)).reshaped(std::move(extents));
}

Status eval_scan(EvalContext& c) {
  const Graph& body = *c.attrs().graph("body");
  ScanLayout layout;
  layout.captures = static_cast<size_t>(c.attrs().integer("captures"));
  layout.inputs = static_cast<size_t>(c.attrs().integer("num_scan_inputs"));
  layout.states = c.operand_count() - layout.inputs - layout.captures;
  layout.outputs = body.outputs.size() - layout.states;
  const Tensor& first = c.tensor(layout.states);
  const int64_t steps = first.extent(TRY(normalize_axis(entry(c.attrs(), "scan_input_axes", 0), first.rank())));
  const int64_t most_steps = c.services().limits().loop_trips;
  if (steps > most_steps) return unsupported(fmt::format("{} steps exceed the limit loop-trips={}", steps, most_steps));
  const std::vector<Datum> operands = operands_from(c, 0);
  const auto captured = operands.end() - static_cast<ptrdiff_t>(layout.captures);
  std::vector<Datum> states(operands.begin(), operands.begin() + static_cast<ptrdiff_t>(layout.states));
  CollectedPieces collected(layout.outputs);
  for (int64_t step = 0; step < steps; ++step) {
    std::vector<Datum> inputs = std::move(states);
    for (size_t i = 0; i < layout.inputs; ++i) inputs.push_back(TRY(slice_of(c, layout, i, step)));
    inputs.insert(inputs.end(), captured, operands.end());
    std::vector<Datum> results = TRY(c.services().run(body, std::move(inputs)));
    TRY(collected.add(results, layout.states, c.services().limits()));
    results.resize(layout.states);
    states = std::move(results);
  }
  for (size_t i = 0; i < layout.states; ++i) c.set(i, std::move(states[i]));
  for (size_t i = 0; i < layout.outputs && layout.states + i < c.output_count(); ++i) {
    const bool backwards = entry(c.attrs(), "scan_output_directions", i) != 0;
    c.set(layout.states + i, TRY(stack_tensors(c, collected.pieces[i], body.outputs[layout.states + i].value->type,
                                               entry(c.attrs(), "scan_output_axes", i), backwards)));
  }
  return {};
}

}  // namespace

constinit const StructuredOp ops::Scan = {.inputs = {1, kVariadic}, .outputs = {0, kVariadic}, .attrs = kScanAttrs,
    .infer = infer_scan, .eval = eval_scan};
constinit const GradientRule gradients::Scan = {.vjp = scan_vjp, .for_gradient = scan_for_gradient};

}  // namespace gannet
