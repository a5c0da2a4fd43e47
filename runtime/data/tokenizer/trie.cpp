#include "runtime/data/tokenizer/trie.h"

#include <algorithm>

namespace gannet::tokenization {

Trie::Trie(std::vector<std::pair<std::string_view, int32_t>> entries) {
  root_children_.fill(kNone);
  std::stable_sort(entries.begin(), entries.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  // Nodes are made level by level, so that children of one node are neighbours. A pending node stands for the
  // entries that begin with its path.
  struct Pending {
    int32_t node;
    size_t begin, end, depth;
  };
  std::vector<Pending> level = {{0, 0, entries.size(), 0}}, next;
  while (!level.empty()) {
    next.clear();
    for (const Pending& pending : level) {
      size_t i = pending.begin;
      for (; i < pending.end && entries[i].first.size() == pending.depth; ++i) {
        nodes_[static_cast<size_t>(pending.node)].value = entries[i].second;
      }
      nodes_[static_cast<size_t>(pending.node)].first_child = static_cast<uint32_t>(nodes_.size());
      while (i < pending.end) {
        char label = entries[i].first[pending.depth];
        size_t end = i;
        while (end < pending.end && entries[end].first[pending.depth] == label) ++end;
        int32_t node = static_cast<int32_t>(nodes_.size());
        if (pending.node == 0) root_children_[static_cast<uint8_t>(label)] = node;
        ++nodes_[static_cast<size_t>(pending.node)].children;
        nodes_.push_back(Node());
        labels_.push_back(label);
        next.push_back({node, i, end, pending.depth + 1});
        i = end;
      }
    }
    level.swap(next);
  }
}

}  // namespace gannet::tokenization
