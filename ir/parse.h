// Reads the textual form of graphs that print.h writes.
#pragma once

#include <memory>
#include <string_view>

#include "ir/base/error.h"
#include "ir/graph.h"

namespace gannet {

// One graph. Types of results may be left out ("%y = Relu(%x)"): they are inferred, and where they are written they
// must agree with inference. Errors give line and column.
Result<std::unique_ptr<Graph>> parse_graph(std::string_view text);

}  // namespace gannet
