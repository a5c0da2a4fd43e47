// Where the channels of a map inside a model are.
#pragma once

#include <cstdint>
#include <optional>

#include "ir/graph.h"
#include "runtime/data/image.h"

namespace gannet {

// The axis, 1 or 3, of a value of rank 4 that holds channels, for a model whose pictures have the layout
// `of_input`: as the nodes say that made it. A convolution, pooling or normalization has them second, a
// Transpose moves them, and elementwise nodes and the like leave them where they are. Nothing where other
// nodes leave it open.
std::optional<int64_t> channel_axis(const Value& value, ImageLayout of_input);

}  // namespace gannet
