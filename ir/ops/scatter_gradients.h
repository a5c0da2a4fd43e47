// Gradient rules of the ops that write elements by index. Where several updates went to one place and the last one
// won, each of them gets the gradient of that place, as in PyTorch.
#pragma once

#include "ir/vjp.h"

namespace gannet {

Status scatter_elements_vjp(VjpContext& c);
Status scatter_nd_vjp(VjpContext& c);
Status tensor_scatter_vjp(VjpContext& c);

}  // namespace gannet
