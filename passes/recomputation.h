// What is computed a second time so that less is alive at once. The moment at which most is alive divides the nodes: values that
// are made before and needed after may be dropped, and are computed again in front of the first node that needs them. Which
// ones is tried out: those whose computation is cheap for their bytes, and between them cuts where little is alive, from which
// the rest is computed again, segment by segment (Chen, Xu, Zhang, Guestrin, "Training deep nets with sublinear memory
// cost", 2016).
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "ir/base/dim.h"
#include "ir/base/error.h"
#include "ir/graph.h"

namespace gannet {

// The bytes of each value of a graph and the times at which it is used. A Reshape and its like share their operand's memory.
struct ValueTimes {
  struct Entry {
    Value* value = nullptr;
    int64_t bytes = 0;      // 0 for what shares memory, and for next values of States, which are written in place
    int32_t root = -1;      // the entry whose memory it shares: its own but for reshapes
    int32_t made = 0;       // node
    bool is_result = false;
    std::vector<int32_t> uses;  // nodes, ascending
  };
  std::vector<Node*> nodes;
  std::vector<double> work;                    // of each node: floating point operations, a quarter of one for a byte
  std::vector<std::vector<int32_t>> operands;  // of each node: entries; -1 for what is always there
  std::vector<std::vector<int32_t>> results;
  std::vector<Entry> entries;
  std::vector<std::vector<int32_t>> sharers;  // of each root: the entries in its memory, itself included
  int64_t resident = 0;                       // bytes of inputs, constants and States

  static Result<ValueTimes> of(const Graph& graph, const SymbolValues& extents);
};

struct MemoryPeak {
  int64_t bytes = 0;  // beside what is resident
  int32_t node = 0;   // where
};

MemoryPeak peak_of(const ValueTimes& times);

// `value` for a node that runs again in front of `before`: behind a node that no region takes in, so that the copy is not fused
// into the kernel that makes `value`, which would keep what it gives.
Value* read_again(Graph& graph, Value* value, Node* before);

struct RecomputationRound {
  int64_t nodes = 0;  // that compute again
  double work = 0;    // of those
};

// Rewrites the graph so that at most `bytes` are alive beside what is resident, or as few as can be found; among choices that
// suffice the one with the least work. Nothing changes (0 nodes) where no choice lowers the peak. Nodes that draw random numbers
// or have bodies of control flow run once.
RecomputationRound recompute_below(Graph& graph, const ValueTimes& times, int64_t bytes);

}  // namespace gannet
