#include "frontend/import_batch.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/infer.h"
#include "ir/op.h"

namespace gannet {
namespace {

bool holds_symbol(const Dim& dim, const Dim& symbol) {
  std::vector<std::string> names;
  dim.collect_symbols(names);
  return std::find(names.begin(), names.end(), symbol.symbol_name()) != names.end();
}

Dim with_extent(const Dim& dim, const Dim& symbol, int64_t extent) {
  return dim.substitute([&](const std::string& name) -> std::optional<Dim> {
    return name == symbol.symbol_name() ? std::optional<Dim>(extent) : std::nullopt;
  });
}

Shape with_extent(Shape shape, const Dim& symbol, int64_t extent) {
  for (Dim& dim : shape) dim = with_extent(dim, symbol, extent);
  return shape;
}

// `whole` / `part` where it is exact for all values of the symbols.
std::optional<Dim> exact_quotient(const Dim& whole, const Dim& part) {
  if (part.is_constant(0)) return std::nullopt;
  Dim quotient = floordiv(whole, part);
  if (quotient * part == whole) return quotient;
  return std::nullopt;
}

// The target of a Reshape in the file's own words: zeros copied from the input, -1 computed.
std::optional<Shape> resolved(Shape target, const Shape& input, bool copies_zeros) {
  for (size_t i = 0; copies_zeros && i < target.size() && i < input.size(); ++i) {
    if (target[i].is_constant(0)) target[i] = input[i];
  }
  auto open = std::find(target.begin(), target.end(), Dim(-1));
  if (open == target.end()) return target;
  *open = Dim(1);
  std::optional<Dim> rest = exact_quotient(element_count(input), element_count(target));
  if (!rest) return std::nullopt;
  *open = *rest;
  return target;
}

// Where the batch goes: a Reshape keeps the order of elements, so in the input and in the result equally many
// elements lie outside of it. Best is a dimension that is nothing but the batch, then the rows of a matrix, then
// a dimension of which it is the outermost factor.
std::optional<size_t> batch_axis(const Rebatch& batch, const Shape& target, const Shape& input,
                                 size_t input_axis) {
  Dim outside = element_count(std::span(input).first(input_axis));
  std::optional<size_t> alone, outermost, inside;
  for (size_t i = 0; i < target.size(); ++i) {
    std::optional<Dim> factor = exact_quotient(outside, element_count(std::span(target).first(i)));
    std::optional<Dim> rest = exact_quotient(target[i], Dim(batch.first));
    if (!factor || !rest || !exact_quotient(*rest, *factor)) continue;
    if (rest->is_constant(1) && (!alone || i == input_axis)) alone = i;
    if (factor->is_constant(1) && !outermost) outermost = i;
    if (!inside) inside = i;
  }
  if (!alone && target.size() == 2 && inside) return inside;
  return alone ? alone : outermost ? outermost : inside;
}

Status rebatch_reshape(const Rebatch& batch, UpgradeContext& c) {
  const int64_t extent = batch.first;
  const Dim& symbol = batch.second;
  const Shape* input = c.shape(0);
  const Value* operand = c.operand(1);
  if (input == nullptr || operand == nullptr || !operand->contents) return {};
  auto leading =
      std::find_if(input->begin(), input->end(), [&](const Dim& dim) { return holds_symbol(dim, symbol); });
  if (leading == input->end()) return {};
  const int64_t* allow_zero = c.attrs.get<int64_t>("allowzero");
  bool is_told = std::any_of(operand->contents->begin(), operand->contents->end(),
                             [&](const Dim& dim) { return holds_symbol(dim, symbol); });
  if (is_told) return {};
  Shape old_input = with_extent(*input, symbol, extent);
  std::optional<Shape> target = resolved(*operand->contents, old_input, !allow_zero || *allow_zero == 0);
  if (!target) return {};
  size_t input_axis = static_cast<size_t>(leading - input->begin());
  std::optional<size_t> axis = batch_axis(batch, *target, old_input, input_axis);
  if (axis) (*target)[*axis] = *exact_quotient((*target)[*axis], Dim(extent)) * symbol;
  if (!axis || element_count(*target) != element_count(*input)) {
    return invalid_model(fmt::format(
        "the shape {} cannot hold a symbolic batch: the input is {}; import without it",
        to_string(std::span<const Dim>(*operand->contents)), to_string(std::span<const Dim>(*input))));
  }
  c.set_operand(1, c.b.dims(*target));
  c.attrs.set("allowzero", int64_t{1});
  return {};
}

// A shape operand whose leading entry is the old batch, of an input whose leading dimension is the symbol.
Status rebatch_leading(const Rebatch& batch, UpgradeContext& c, size_t shape_operand) {
  const Shape* input = c.shape(0);
  std::optional<std::vector<int64_t>> constant = c.ints(shape_operand);
  if (input == nullptr || !constant || constant->empty() || input->size() != constant->size()) return {};
  if ((*input)[0] != batch.second || (*constant)[0] != batch.first) return {};
  Shape shape = to_shape(*constant);
  shape[0] = batch.second;
  c.set_operand(shape_operand, c.b.dims(shape));
  return {};
}

// Operand i, where it has one element along `axis`, repeated for each of the batch.
void repeat(const Rebatch& batch, UpgradeContext& c, size_t i, size_t axis) {
  const Shape* shape = c.shape(i);
  if (shape == nullptr || axis >= shape->size() || !(*shape)[axis].is_constant(1)) return;
  Shape repeated(shape->size(), Dim(1));
  repeated[axis] = batch.second;
  c.set_operand(i, c.b.op("Expand", {c.operand(i), c.b.dims(repeated)}));
}

// Parts that do not depend on the input, such as the class token of a vision transformer, belong to each of
// the batch.
Status repeat_parts(const Rebatch& batch, UpgradeContext& c) {
  const int64_t* axis = c.attrs.get<int64_t>("axis");
  if (axis == nullptr || c.shape(0) == nullptr) return {};
  const size_t rank = c.shape(0)->size();
  const size_t joined = static_cast<size_t>(*axis < 0 ? *axis + static_cast<int64_t>(rank) : *axis);
  for (size_t d = 0; d < rank; ++d) {
    auto is_batch = [&](size_t i) {
      const Shape* shape = c.shape(i);
      return shape != nullptr && d < shape->size() && (*shape)[d] == batch.second;
    };
    bool any = false;
    for (size_t i = 0; i < c.operands.size(); ++i) any = any || is_batch(i);
    for (size_t i = 0; d != joined && any && i < c.operands.size(); ++i) repeat(batch, c, i, d);
  }
  return {};
}

// A constant initial state of a recurrent layer.
Status repeat_states(const Rebatch& batch, UpgradeContext& c) {
  const int64_t* layout = c.attrs.get<int64_t>("layout");
  const bool batch_first = layout && *layout == 1;
  const Shape* x = c.shape(0);
  if (x == nullptr || x->size() != 3 || (*x)[batch_first ? 0 : 1] != batch.second) return {};
  for (size_t i : {5, 6}) repeat(batch, c, i, batch_first ? 0 : 1);
  return {};
}

void fix_dims(Graph& graph, const Dim& symbol, int64_t extent) {
  for (const auto& node : graph.nodes()) {
    if (node->op().name == "Dims")
      node->attrs.set("dims", with_extent(node->attrs.dims("dims"), symbol, extent));
    for_each_subgraph(*node, [&](Graph& subgraph) { fix_dims(subgraph, symbol, extent); });
  }
}

}  // namespace

Status rebatch(const Rebatch& batch, UpgradeContext& c) {
  if (batch.first < 1) return {};
  if (c.op == "Reshape") return rebatch_reshape(batch, c);
  if (c.op == "Expand") return rebatch_leading(batch, c, 1);
  if (c.op == "Resize") return rebatch_leading(batch, c, 3);
  if (batch.first == 1 && c.op == "Concat") return repeat_parts(batch, c);
  if (batch.first == 1 && (c.op == "LSTM" || c.op == "GRU" || c.op == "RNN")) return repeat_states(batch, c);
  return {};
}

Status check_batch(const Graph& graph, const Rebatch& batch) {
  const auto& [extent, symbol] = batch;
  int64_t other = 2 * extent + 1;
  std::unique_ptr<Graph> copy = graph.clone();
  fix_dims(*copy, symbol, other);
  for (Value* input : copy->inputs()) {
    if (input->type.shape) input->type.shape = with_extent(*input->type.shape, symbol, other);
  }
  Status status = infer_graph(*copy);
  if (status.ok()) return {};
  return invalid_model(
      fmt::format("{}; this is with a batch of {} instead of {}: something here holds the batch of "
                  "the file; import without a symbolic batch",
                  status.error().message, other, extent));
}

}  // namespace gannet
