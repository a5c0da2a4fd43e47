// When each value of a graph is alive, by positions in the order of its nodes.
#pragma once

#include <unordered_map>
#include <vector>

#include "ir/graph.h"

namespace gannet {

class LiveValues {
 public:
  explicit LiveValues(const Graph& graph);

  const std::vector<Node*>& order() const { return order_; }
  int64_t position(const Node* node) const { return positions_.at(node); }
  // Of the node that makes it; -1 for inputs, States and constants, which are always there.
  int64_t made(const Value* value) const;
  // The position of its last use: that of its own node when it has none, past all nodes for a result.
  int64_t last_use(const Value* value) const;
  // The first use after `position`; null when there is none.
  Node* next_use(const Value* value, int64_t position) const;
  bool is_used_at(const Value* value, int64_t position) const;

 private:
  std::vector<Node*> order_;
  std::unordered_map<const Node*, int64_t> positions_;
  std::unordered_map<const Value*, bool> results_;
};

}  // namespace gannet
