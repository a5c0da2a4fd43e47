// Nodes that only move elements, as windows on their operand.
#pragma once

#include "backend/llvm/region_builder.h"

namespace gannet {

// The elements of a list of dimensions, where they are known.
std::optional<std::vector<Dim>> contents_of(const Value* value);
// Transpose, Slice, Split, Expand, Tile, DepthToSpace, SpaceToDepth, and Resize to the nearest element.
bool is_movement(const Node& node);
// Output `output` of such a node (or reshape) as a window on the memory of operand 0, which `source` describes.
// Where elements go between others the window has the dimensions of the result in parts, in the same order.
// Unsupported where bounds are not known or the elements are not evenly apart.
Result<OperandView> view_of_output(const Node& node, size_t output, const OperandView& source);

}  // namespace gannet
