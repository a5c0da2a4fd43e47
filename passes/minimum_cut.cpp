#include "passes/minimum_cut.h"

#include <algorithm>

namespace gannet {

int MinimumCut::add_node() {
  edges_of_.emplace_back();
  return static_cast<int>(edges_of_.size()) - 1;
}

void MinimumCut::add_edge(int from, int to, int64_t capacity) {
  edges_of_[static_cast<size_t>(from)].push_back(static_cast<int>(edges_.size()));
  edges_.push_back({to, capacity});
  edges_of_[static_cast<size_t>(to)].push_back(static_cast<int>(edges_.size()));
  edges_.push_back({from, 0});
}

// Distances from the source over edges with capacity left; true when the sink is reached.
bool MinimumCut::find_levels() {
  level_.assign(edges_of_.size(), -1);
  level_[kSource] = 0;
  std::vector<int> queue = {kSource};
  for (size_t i = 0; i < queue.size(); ++i) {
    for (int index : edges_of_[static_cast<size_t>(queue[i])]) {
      const Edge& edge = edges_[static_cast<size_t>(index)];
      int& level = level_[static_cast<size_t>(edge.to)];
      if (edge.capacity <= 0 || level >= 0) continue;
      level = level_[static_cast<size_t>(queue[i])] + 1;
      queue.push_back(edge.to);
    }
  }
  return level_[kSink] >= 0;
}

// Sends flow along one shortest path and returns how much; 0 when there is none left at these levels.
int64_t MinimumCut::push_one_path() {
  std::vector<int> path;
  int node = kSource;
  while (node != kSink) {
    size_t& next = next_[static_cast<size_t>(node)];
    const std::vector<int>& edges = edges_of_[static_cast<size_t>(node)];
    bool advanced = false;
    for (; next < edges.size() && !advanced; ++next) {
      const Edge& edge = edges_[static_cast<size_t>(edges[next])];
      if (edge.capacity <= 0 || level_[static_cast<size_t>(edge.to)] != level_[static_cast<size_t>(node)] + 1) continue;
      path.push_back(edges[next]);
      node = edge.to;
      advanced = true;
      break;
    }
    if (advanced) continue;
    if (path.empty()) return 0;
    node = edges_[static_cast<size_t>(path.back() ^ 1)].to;
    path.pop_back();
    ++next_[static_cast<size_t>(node)];
  }
  int64_t flow = kInfinite;
  for (int index : path) flow = std::min(flow, edges_[static_cast<size_t>(index)].capacity);
  for (int index : path) {
    edges_[static_cast<size_t>(index)].capacity -= flow;
    edges_[static_cast<size_t>(index ^ 1)].capacity += flow;
  }
  return flow;
}

int64_t MinimumCut::solve() {
  int64_t total = 0;
  while (find_levels()) {
    next_.assign(edges_of_.size(), 0);
    while (int64_t flow = push_one_path()) total += flow;
  }
  return total;
}

}  // namespace gannet
