// Models that take pictures.
#pragma once

#include <optional>
#include <span>

#include "tools/driver/input_normalization.h"

namespace gannet {

// find_input_normalization of a graph with one input.
std::optional<InputNormalization> normalization_of(const Graph& graph);

// Whether inputs like these take pictures: one, of rank 4, of numbers.
bool takes_pictures(std::span<const InputSpec> inputs);

}  // namespace gannet
