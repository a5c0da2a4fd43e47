// Finds out what a model does to the pixels before its first layer.
#pragma once

#include <optional>

#include "ir/graph.h"
#include "tools/deploy/picture_input.h"

namespace gannet {

// Looks at the nodes between `input` and the first that is more than a Cast, Identity, Transpose or an Add,
// Sub, Mul or Div by a constant of at most 16 elements (or a first BatchNormalization). Where there are such,
// the model normalizes its input itself; whether it wants pixels of 0 to 255 or of 0 to 1 follows from the
// value that they map to 0, and where that is 0, from their factor. Nothing where there are none.
std::optional<InputNormalization> find_input_normalization(const Value& input);

}  // namespace gannet
