#include "frontend/import_batch.h"

#include <fmt/format.h>

#include <algorithm>

namespace gannet {
namespace {

bool holds_symbol(const Dim& dim, const Dim& symbol) {
  std::vector<std::string> names;
  dim.collect_symbols(names);
  return std::find(names.begin(), names.end(), symbol.symbol_name()) != names.end();
}

// `whole` / `part` where it is exact for all values of the symbols.
std::optional<Dim> exact_quotient(const Dim& whole, const Dim& part) {
  if (part.is_constant(0)) return std::nullopt;
  Dim quotient = floordiv(whole, part);
  if (quotient * part == whole) return quotient;
  return std::nullopt;
}

// The target with -1 computed, where it then has `count` elements.
std::optional<Shape> completed(Shape target, const Dim& count) {
  auto open = std::find(target.begin(), target.end(), Dim(-1));
  if (open == target.end()) return element_count(target) == count ? std::optional(target) : std::nullopt;
  *open = Dim(1);
  std::optional<Dim> rest = exact_quotient(count, element_count(target));
  if (!rest) return std::nullopt;
  *open = *rest;
  return target;
}

// The first dimension of `target` that holds the old batch and fits when it holds the symbol instead.
std::optional<Shape> with_batch(const Rebatch& batch, const Shape& target, const Dim& count) {
  for (size_t i = 0; i < target.size(); ++i) {
    if (!target[i].is_constant() || target[i].constant() < 1 || target[i].constant() % batch.first != 0) continue;
    Shape candidate = target;
    candidate[i] = Dim(target[i].constant() / batch.first) * batch.second;
    std::optional<Shape> shape = completed(candidate, count);
    bool moved = shape && std::count_if(shape->begin(), shape->end(), [&](const Dim& dim) {
                   return holds_symbol(dim, batch.second);
                 }) > 1;
    if (shape && !moved) return shape;
  }
  return std::nullopt;
}

Status rebatch_reshape(const Rebatch& batch, UpgradeContext& c) {
  const Shape* input = c.shape(0);
  std::optional<std::vector<int64_t>> constant = c.ints(1);
  if (input == nullptr || !constant) return {};
  Dim count = element_count(*input);
  if (!holds_symbol(count, batch.second)) return {};
  Shape target = to_shape(*constant);
  const int64_t* allow_zero = c.attrs.get<int64_t>("allowzero");
  bool copies = !allow_zero || *allow_zero == 0;
  for (size_t i = 0; copies && i < target.size() && i < input->size(); ++i) {
    if (target[i].is_constant(0)) target[i] = (*input)[i];
  }
  bool leads_open = !target.empty() && (target[0].is_constant(-1) || !target[0].is_constant());
  if (leads_open && completed(target, count)) return {};
  std::optional<Shape> shape = with_batch(batch, target, count);
  if (!shape) shape = completed(target, count);
  if (!shape) {
    return invalid_model(fmt::format("the constant shape {} cannot hold a symbolic batch: its input is {}; give the "
                                     "model without --batch",
                                     to_string(std::span<const int64_t>(*constant)),
                                     to_string(std::span<const Dim>(*input))));
  }
  c.set_operand(1, c.b.dims(*shape));
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

}  // namespace

Status rebatch(const Rebatch& batch, UpgradeContext& c) {
  if (c.op == "Reshape") return rebatch_reshape(batch, c);
  if (c.op == "Expand") return rebatch_leading(batch, c, 1);
  if (c.op == "Resize") return rebatch_leading(batch, c, 3);
  return {};
}

}  // namespace gannet
