#include "ir/signature.h"

#include <fmt/format.h>

namespace gannet {

Status check_input(const NamedType& input, const Datum& given) {
  if (!given.present()) return invalid_input(fmt::format("input '{}' is not given", input.name));
  const bool is_tensor = input.type.is_tensor();
  if (is_tensor != given.is_tensor()) {
    return invalid_input(fmt::format("input '{}' is {}, the model takes {}", input.name, to_string(given.type()), to_string(input.type)));
  }
  const DType wanted = input.type.dtype;
  if (is_tensor && wanted != DType::kUndefined && wanted != given.tensor().dtype()) {
    return invalid_input(fmt::format("input '{}' holds {}, the model takes {}", input.name,
                                     name_of(given.tensor().dtype()), name_of(wanted)));
  }
  return {};
}

Status bind_input(const NamedType& input, const Datum& given, SymbolValues& symbols) {
  if (!given.is_tensor() || !input.type.shape) return {};
  const Shape& shape = *input.type.shape;
  const std::vector<int64_t>& extents = given.tensor().extents();
  if (shape.size() != extents.size()) {
    return invalid_input(fmt::format("input '{}' has rank {}, the model takes {}", input.name, extents.size(),
                                     to_string(std::span<const Dim>(shape))));
  }
  for (size_t i = 0; i < shape.size(); ++i) {
    if (const std::optional<std::string> symbol = shape[i].symbol_name()) {
      const auto [entry, is_new] = symbols.try_emplace(*symbol, extents[i]);
      if (is_new || entry->second == extents[i]) continue;
      return invalid_input(fmt::format("input '{}' dimension {} is {}, but '{}' is already {}", input.name, i, extents[i],
                                       *symbol, entry->second));
    }
    if (shape[i].is_constant() && shape[i].constant() != extents[i]) {
      return invalid_input(fmt::format("input '{}' dimension {} is {}, the model takes {}", input.name, i, extents[i],
                                       to_string(std::span<const Dim>(shape))));
    }
  }
  return {};
}

Status check_extents(const NamedType& input, const Datum& given, const SymbolValues& symbols) {
  if (!given.is_tensor() || !input.type.shape) return {};
  for (size_t axis = 0; axis < input.type.shape->size(); ++axis) {
    const Result<int64_t> expected = (*input.type.shape)[axis].evaluate(symbols);
    const int64_t extent = given.tensor().extent(static_cast<int64_t>(axis));
    if (expected.ok() && *expected != extent) {
      return invalid_input(fmt::format("input '{}' dimension {} is {}, must be {} = {}", input.name, axis, extent,
                                       (*input.type.shape)[axis].to_string(), *expected));
    }
  }
  return {};
}

void collect_symbols(const Type& type, std::vector<std::string>& symbols) {
  if (type.shape) {
    for (const Dim& dim : *type.shape) dim.collect_symbols(symbols);
  }
  if (type.element) collect_symbols(*type.element, symbols);
}

}  // namespace gannet
