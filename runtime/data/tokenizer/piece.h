// A text on its way through a tokenizer: pieces, and the memory that rewritten pieces stand in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace gannet::tokenization {

struct Piece {
  static constexpr int32_t kText = -1;

  std::string_view text;
  int32_t id = kText;         // of the added token that it is
  bool at_beginning = false;  // its first character is what the first of the text became
};

using Pieces = std::vector<Piece>;

// Strings and lists that stay where they are until all are given up at once; their memory is used again.
class TextArena {
 public:
  // Empty ones.
  std::string& fresh() { return next(strings_, used_strings_); }
  Pieces& fresh_pieces() { return next(lists_, used_lists_); }
  void clear() { used_strings_ = used_lists_ = 0; }

 private:
  template <class T>
  static T& next(std::deque<T>& all, size_t& used) {
    if (used == all.size()) all.emplace_back();
    T& object = all[used++];
    object.clear();
    return object;
  }

  std::deque<std::string> strings_;
  std::deque<Pieces> lists_;
  size_t used_strings_ = 0, used_lists_ = 0;
};

}  // namespace gannet::tokenization
