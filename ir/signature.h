// What a model takes: names and types of its inputs, and whether data fit them.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ir/base/datum.h"
#include "ir/base/dim.h"
#include "ir/base/type.h"

namespace gannet {

struct NamedType {
  const std::string& name;
  const Type& type;
};

// Checks that a datum is given and has the kind and element type of an input; not its extents.
Status check_input(const NamedType& input, const Datum& given);
// Binds every plain symbol of the input's shape to the extent that it has here. Errors name the input and both extents.
Status bind_input(const NamedType& input, const Datum& given, SymbolValues& symbols);
// Checks the extents that are expressions of symbols, once those are bound.
Status check_extents(const NamedType& input, const Datum& given, const SymbolValues& symbols);

// Appends every symbol of the type's shape, or of its elements' where it is no tensor.
void collect_symbols(const Type& type, std::vector<std::string>& symbols);

}  // namespace gannet
