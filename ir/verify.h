// The invariants of a graph, checked after every pass in tests and with --verify-each.
#pragma once

#include "ir/base/error.h"
#include "ir/graph.h"

namespace gannet {

// Operands are defined before their use and in the same graph; uses are recorded exactly; names are unique; operand
// and output counts fit the op table; attributes are declared and of their kind; types agree with inference;
// subgraphs obey the same. An error names the first node that breaks one.
Status verify(const Graph& graph);

}  // namespace gannet
