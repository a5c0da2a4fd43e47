// The figures of a model: parameters, operations, memory of its activations.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ir/base/dim.h"
#include "ir/graph.h"

namespace gannet {

struct ModelSummary {
  std::map<std::string, int64_t> op_counts;  // subgraphs included, constants not
  struct Parameters {
    int64_t tensors = 0, elements = 0, bytes = 0;
  };
  std::map<std::string, Parameters> parameters;  // by element type
  std::vector<std::string> symbols;              // of the inputs, in order of appearance
  std::vector<std::string> bound_at_run_time;    // symbols of data-dependent extents
  SymbolValues assumed;                          // the extents for which the figures below hold

  // Of one run of the top graph; nothing where shapes stay unknown. Bodies of control flow count once.
  std::optional<double> flops;
  std::optional<int64_t> activation_bytes;  // of all results together
  std::optional<int64_t> peak_bytes;        // alive at once when each result is freed after its last use
  std::map<std::string, double> flops_by_op;
};

// Symbols without a value in `extents` count as 1.
ModelSummary summarize(const Graph& graph, const SymbolValues& extents = {});

}  // namespace gannet
