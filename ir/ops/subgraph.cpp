#include "ir/ops/subgraph.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/ops/element_copy.h"
#include "ir/ops/indices.h"
#include "ir/ops/operand_checks.h"
#include "ir/signature.h"

namespace gannet {
namespace {

// Symbols that the operands of the node bring along, sorted.
std::vector<std::string> visible_symbols(const InferContext& c) {
  std::vector<std::string> names;
  for (size_t i = 0; i < c.operand_count(); ++i) {
    if (!c.has(i)) continue;
    collect_symbols(c.type(i), names);
    if (const std::optional<std::vector<Dim>> contents = short_contents(c, i)) {
      for (const Dim& dim : *contents) dim.collect_symbols(names);
    }
  }
  return names;
}

bool all_visible(const Dim& dim, const std::vector<std::string>& visible) {
  std::vector<std::string> used;
  dim.collect_symbols(used);
  return std::ranges::all_of(used, [&](const std::string& name) { return std::ranges::binary_search(visible, name); });
}

// As outside_type; the dimensions of elements of a sequence may differ, so there they become unknown together.
Type outside_type(InferContext& c, const Type& type, const std::vector<std::string>& visible, bool element) {
  Type result = type;
  if (type.element) result.element = std::make_shared<const Type>(outside_type(c, *type.element, visible, true));
  if (!type.shape) return result;
  for (Dim& dim : *result.shape) {
    if (all_visible(dim, visible)) continue;
    if (element) {
      result.shape.reset();
      return result;
    }
    dim = c.fresh("inner");
  }
  return result;
}

bool is_inferred(const Graph& graph) {
  return std::ranges::all_of(graph.outputs, [](const GraphOutput& output) {
    return !output.value->type.is_tensor() || output.value->type.dtype != DType::kUndefined;
  });
}

Result<DType> common_dtype(const Type& a, const Type& b) {
  if (a.dtype == DType::kUndefined) return b.dtype;
  if (b.dtype == DType::kUndefined || a.dtype == b.dtype) return a.dtype;
  return invalid_model(fmt::format("{} and {} differ in element type", to_string(a), to_string(b)));
}

// Makes `carried` hold for `next` too; true when that changed it.
Result<bool> widen(InferContext& c, Type& carried, std::vector<bool>& loose, const Type& next) {
  if (carried == next) return false;
  if (carried.kind == Type::Kind::kOptional && next.kind != Type::Kind::kOptional) {
    Type element = carried.element ? TRY(common_type(c, *carried.element, next)) : next;
    const bool changed = !carried.element || !(element == *carried.element);
    carried = Type::optional(std::move(element));
    return changed;
  }
  if (!carried.is_tensor() || !next.is_tensor() || !carried.shape || !next.shape || carried.rank() != next.rank()) {
    Type common = TRY(common_type(c, carried, next));
    const bool changed = !(common == carried);
    carried = std::move(common);
    loose.assign(carried.shape ? carried.shape->size() : 0, true);
    return changed;
  }
  carried.dtype = TRY(common_dtype(carried, next));
  bool changed = false;
  for (size_t i = 0; i < loose.size(); ++i) {
    if (loose[i] || (*carried.shape)[i] == (*next.shape)[i]) continue;
    (*carried.shape)[i] = c.fresh("carried");
    loose[i] = changed = true;
  }
  return changed;
}

}  // namespace

Result<Graph*> checked_subgraph(const InferContext& c, std::string_view name, size_t inputs, size_t outputs) {
  const std::shared_ptr<Graph>& graph = c.attrs().graph(name);
  if (!graph) return invalid_model(fmt::format("attribute '{}' holds no graph", name));
  if (graph->inputs().size() != inputs) {
    return invalid_model(fmt::format("{} has {} inputs, but the node gives it {}", name, graph->inputs().size(), inputs));
  }
  if (graph->outputs.size() < outputs) {
    return invalid_model(fmt::format("{} has {} outputs, but the node takes {}", name, graph->outputs.size(), outputs));
  }
  return graph.get();
}

Result<size_t> capture_count(const InferContext& c, size_t others) {
  const int64_t captures = c.attrs().integer("captures");
  const auto most = static_cast<int64_t>(c.operand_count()) - static_cast<int64_t>(others);
  if (captures < 0 || captures > most) {
    return invalid_model(fmt::format("{} captures do not fit {} operands", captures, c.operand_count()));
  }
  return static_cast<size_t>(captures);
}

Result<std::vector<Type>> capture_types(const InferContext& c, size_t captures) {
  std::vector<Type> types;
  for (size_t i = c.operand_count() - captures; i < c.operand_count(); ++i) {
    if (!c.has(i)) return invalid_model(fmt::format("input {}, a capture, is absent", i));
    types.push_back(c.type(i));
  }
  return types;
}

Result<std::vector<Type>> infer_body(const InferContext& c, Graph& graph, std::span<const Type> input_types, size_t captures) {
  if (c.evaluating() && is_inferred(graph)) {
    std::vector<Type> types;
    for (const GraphOutput& output : graph.outputs) types.push_back(output.value->type);
    return types;
  }
  const size_t first_capture = graph.inputs().size() - captures, first_operand = c.operand_count() - captures;
  for (size_t i = 0; i < graph.inputs().size(); ++i) {
    graph.inputs()[i]->contents.reset();
    if (i >= first_capture) graph.inputs()[i]->contents = short_contents(c, first_operand + i - first_capture);
  }
  return infer_subgraph(graph, input_types);
}

Type outside_type(InferContext& c, const Type& type) { return outside_type(c, type, visible_symbols(c), false); }

Result<Type> common_type(InferContext& c, const Type& a, const Type& b) {
  if (a == b) return a;
  if (a.kind != b.kind) return invalid_model(fmt::format("{} and {} differ in kind", to_string(a), to_string(b)));
  Type result = a;
  if (!a.is_tensor()) {
    if (!a.element || !b.element) return a.element ? a : b;
    Type element = TRY(common_type(c, *a.element, *b.element));
    // Elements may differ, so a shape that both do not have is unknown.
    if (!(element == *a.element && element == *b.element)) element.shape.reset();
    result.element = std::make_shared<const Type>(std::move(element));
    return result;
  }
  result.dtype = TRY(common_dtype(a, b));
  if (!a.shape || !b.shape || a.shape->size() != b.shape->size()) {
    result.shape.reset();
    return result;
  }
  for (size_t i = 0; i < a.shape->size(); ++i) {
    if ((*a.shape)[i] != (*b.shape)[i]) (*result.shape)[i] = c.fresh("either");
  }
  return result;
}

Result<std::vector<Type>> infer_repeated(InferContext& c, Graph& body, const std::vector<Type>& lead, CarriedTypes& carried,
                                         const std::vector<Type>& tail, size_t captures, size_t first_carried) {
  for (const Type& type : carried.types) carried.loose.emplace_back(type.shape ? type.shape->size() : 0, false);
  while (true) {
    std::vector<Type> inputs = lead;
    inputs.insert(inputs.end(), carried.types.begin(), carried.types.end());
    inputs.insert(inputs.end(), tail.begin(), tail.end());
    std::vector<Type> outputs = TRY(infer_body(c, body, inputs, captures));
    bool changed = false;
    for (size_t i = 0; i < carried.types.size(); ++i) {
      Result<bool> widened = widen(c, carried.types[i], carried.loose[i], outputs[first_carried + i]);
      if (!widened.ok()) return with_prefix(fmt::format("carried value {} changes: ", i), widened.error());
      changed |= *widened;
    }
    if (!changed || c.evaluating()) return outputs;
  }
}

std::vector<Datum> operands_from(const EvalContext& c, size_t first) {
  std::vector<Datum> result;
  for (size_t i = first; i < c.operand_count(); ++i) result.push_back(c.has(i) ? c.datum(i) : Datum());
  return result;
}

Status CollectedPieces::add(std::vector<Datum>& results, size_t first, const Limits& limits) {
  for (size_t i = 0; i < pieces.size(); ++i) {
    Datum& piece = results[first + i];
    if (!piece.is_tensor()) return invalid_input(fmt::format("scan output {} must be a tensor, got {}", i, to_string(piece.type())));
    bytes += piece.bytes() + static_cast<int64_t>(sizeof(Datum));
    if (bytes > limits.live_bytes) {
      return unsupported(fmt::format("scan outputs of {} bytes are beyond the limit live-bytes={}", bytes, limits.live_bytes));
    }
    pieces[i].push_back(std::move(piece));
  }
  return {};
}

Result<Tensor> stack_tensors(EvalContext& c, std::span<const Datum> pieces, const Type& piece, int64_t axis, bool backwards) {
  std::vector<int64_t> extents;
  DType dtype = piece.dtype;
  if (!pieces.empty()) {
    extents = pieces[0].tensor().extents();
    dtype = pieces[0].tensor().dtype();
  } else if (piece.shape) {
    for (const Dim& dim : *piece.shape) {
      const Result<int64_t> extent = dim.evaluate(c.services().symbols());
      extents.push_back(extent.ok() ? *extent : 0);
    }
  }
  const int64_t normalized = TRY(normalize_axis(axis, static_cast<int64_t>(extents.size()) + 1));
  std::vector<int64_t> stacked = extents;
  stacked.insert(stacked.begin() + normalized, static_cast<int64_t>(pieces.size()));
  Tensor result = TRY(c.allocate(dtype, stacked));
  const AxisSplit split(stacked, normalized);
  for (size_t i = 0; i < pieces.size(); ++i) {
    const Tensor& part = pieces[i].tensor();
    if (part.extents() != extents || part.dtype() != dtype) {
      return invalid_input(fmt::format("cannot stack {} and {}", type_string(pieces[0].tensor()), type_string(part)));
    }
    const auto at = static_cast<int64_t>(backwards ? pieces.size() - 1 - i : i);
    if (part.elements() == 0) continue;
    copy_strided(part, result, {{split.outer, split.inner}, {split.inner, 1}, {split.extent * split.inner, 1}, 0, at * split.inner});
  }
  return result;
}

}  // namespace gannet
