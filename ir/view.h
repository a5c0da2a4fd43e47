// Ops that keep all elements of their first operand in their order.
#pragma once

#include "ir/graph.h"

namespace gannet {

// Reshape and its like: the result can be the memory of operand 0.
bool is_view(const Node& node);

}  // namespace gannet
