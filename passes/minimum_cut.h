// The cheapest way to give two labels to the nodes of a network, by maximum flow (Dinic's algorithm).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace gannet {

class MinimumCut {
 public:
  static constexpr int kSource = 0;
  static constexpr int kSink = 1;
  static constexpr int64_t kInfinite = int64_t{1} << 60;

  MinimumCut() : edges_of_(2) {}

  int add_node();
  // Costs `capacity` when `from` ends on the source's side and `to` on the sink's.
  void add_edge(int from, int to, int64_t capacity);
  // The least cost. Afterwards on_source_side tells the labels; where several cuts cost the same, as few nodes as
  // possible are on the source's side.
  int64_t solve();
  bool on_source_side(int node) const { return level_[static_cast<size_t>(node)] >= 0; }

 private:
  struct Edge {
    int to = 0;
    int64_t capacity = 0;  // what is left of it; the opposite edge is the one beside it
  };

  bool find_levels();
  int64_t push_one_path();

  std::vector<Edge> edges_;
  std::vector<std::vector<int>> edges_of_;
  std::vector<int> level_;
  std::vector<size_t> next_;
};

}  // namespace gannet
