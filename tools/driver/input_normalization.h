// What a model does to the pixels before its first layer.
#pragma once

#include <optional>
#include <string>

#include "ir/graph.h"

namespace gannet {

struct InputNormalization {
  double scale = 1;         // of pixels 0 to 255, that its nodes want: 1, or 1/255
  std::string description;  // "Sub and Div by constants"
};

// Looks at the nodes between `input` and the first that is more than a Cast, Identity, Transpose or an Add,
// Sub, Mul or Div by a constant of at most 16 elements (or a first BatchNormalization). Where there are such,
// the model normalizes its input itself; whether it wants pixels of 0 to 255 or of 0 to 1 follows from the
// value that they map to 0, and where that is 0, from their factor. Nothing where there are none.
std::optional<InputNormalization> find_input_normalization(const Value& input);

}  // namespace gannet
