// Resize as one kernel: each element of the result is a weighted sum of elements of the operand, at offsets and with
// weights that are tables of one axis each, made when the kernel is planned.
#pragma once

#include "backend/llvm/region_builder.h"

namespace gannet {

// The result of the Resize `node` over `x`, its operand 0. Unsupported where the extents of an axis that changes or its
// scale are not known, for tf_crop_and_resize, for interpolation between integers, and for windows of very many elements.
Result<Element> resize_by_tables(RegionBuilder& builder, const Node& node, const Element& x);

}  // namespace gannet
