// A second model of the same form in one graph: what depends on a State once more, with States of its own, on the
// same inputs.
#pragma once

#include <span>
#include <string_view>

#include "ir/base/error.h"
#include "ir/graph.h"

namespace gannet {

// In front of the names of the second model's States.
inline constexpr std::string_view kTwinPrefix = "second/";
// The name of a State in the first model: without the prefix, where it has it.
std::string_view model_state_name(std::string_view state);

// Appends a State "second/W" for each State W, in their order, which begins with the tensor of `initial` at its place,
// and a copy of each node that depends on a State. Dropout of the second model draws numbers of its own. Returns the
// counterpart of `value`; `value` itself where it depends on no State. An error names a tensor of another type than
// that of its State.
Result<Value*> add_twin(Graph& graph, Value* value, std::span<const Tensor> initial);

}  // namespace gannet
