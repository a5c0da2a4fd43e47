// Strings with values, found by their beginnings: what all models look tokens up in. The children of a node
// lie side by side, sorted by byte, so a step is a search in a few bytes; children of the first node are
// found by index.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

namespace gannet::tokenization {

class Trie {
 public:
  static constexpr int32_t kNone = -1;

  Trie() { root_children_.fill(kNone); }
  // Of two equal keys the later one counts. Values are at least 0.
  explicit Trie(std::vector<std::pair<std::string_view, int32_t>> entries);

  static constexpr int32_t root() { return 0; }
  // The node behind `byte`, or kNone.
  int32_t child(int32_t node, char byte) const {
    if (node == 0) return root_children_[static_cast<uint8_t>(byte)];
    const Node& parent = nodes_[static_cast<size_t>(node)];
    const char* labels = labels_.data() + parent.first_child;
    if (parent.children < 8) {
      for (uint32_t i = 0; i < parent.children; ++i) {
        if (labels[i] == byte) return static_cast<int32_t>(parent.first_child + i);
      }
      return kNone;
    }
    const void* found = std::memchr(labels, byte, parent.children);
    if (found == nullptr) return kNone;
    return static_cast<int32_t>(parent.first_child +
                                static_cast<size_t>(static_cast<const char*>(found) - labels));
  }
  // The node behind all of `text`, or kNone.
  int32_t descend(int32_t node, std::string_view text) const {
    for (char byte : text) {
      if (node == kNone) return kNone;
      node = child(node, byte);
    }
    return node;
  }
  // The value of the string that ends at `node`, or kNone.
  int32_t value(int32_t node) const { return nodes_[static_cast<size_t>(node)].value; }
  // The value of `key`, or kNone.
  int32_t find(std::string_view key) const {
    int32_t node = descend(root(), key);
    return node == kNone ? kNone : value(node);
  }
  bool empty() const { return nodes_.size() <= 1; }

 private:
  struct Node {
    uint32_t first_child = 0;
    uint32_t children = 0;
    int32_t value = kNone;
  };

  std::vector<Node> nodes_ = {Node()};
  std::vector<char> labels_ = {0};  // of the edge to each node
  std::array<int32_t, 256> root_children_;
};

}  // namespace gannet::tokenization
