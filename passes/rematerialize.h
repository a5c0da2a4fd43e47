// Trading computation for memory: a value that is needed again much later is computed again there instead of being
// kept. What follows is an estimate of the bytes that are alive while the nodes run in the order of the graph; the plan of
// a compiled program shares and aliases more, so that it mostly stays below.
#pragma once

#include <cstdint>

#include "ir/base/dim.h"
#include "ir/base/error.h"
#include "ir/graph.h"

namespace gannet {

struct MemoryEstimate {
  int64_t resident = 0;  // inputs, constants and States, which live all the time; a State is updated in place
  int64_t peak = 0;      // of those and everything else that is alive at once
};

// For these extents of the symbols; an error names one that has none.
Result<MemoryEstimate> estimate_memory(const Graph& graph, const SymbolValues& extents);

struct Rematerialized {
  MemoryEstimate before, after;  // after.peak > limit: the least that was found
  int64_t nodes = 0;             // that compute again
  double work = 0;               // floating point operations of the graph before; a byte written counts as a quarter of one
  double extra_work = 0;         // of the nodes that compute again, over that
};

// Recomputes values until the peak is at most `limit` bytes, or nothing more can be gained (recomputation.h). A node that draws
// random numbers or has subgraphs is not run twice. Results keep their bits.
Result<Rematerialized> rematerialize_to_fit(Graph& graph, int64_t limit, const SymbolValues& extents);

}  // namespace gannet
