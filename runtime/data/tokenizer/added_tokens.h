// Tokens that are found in the text before anything else is done with it, such as [MASK].
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/data/tokenizer/piece.h"
#include "runtime/data/tokenizer/trie.h"

namespace gannet::tokenization {

struct AddedToken {
  std::string content;
  int32_t id = 0;
  bool single_word = false;  // only where no letter or digit stands next to it
  bool strip_left = false;   // takes the white space before it
  bool strip_right = false;
  bool normalized = false;  // found in the normalized text
  bool special = false;
};

// Finds tokens from left to right, the longest of those that begin at the same place. Non-overlapping.
class AddedTokenFinder {
 public:
  AddedTokenFinder() = default;
  // `patterns[i]` is what tokens[i] looks like in the text; an empty pattern is never found.
  AddedTokenFinder(std::vector<AddedToken> tokens, const std::vector<std::string>& patterns);

  bool empty() const { return tokens_.empty(); }
  // Appends the pieces of a text piece.
  void split(const Piece& piece, Pieces& pieces) const;

 private:
  struct Match {
    size_t begin, end;
    const AddedToken* token;
  };
  bool find(std::string_view text, size_t from, Match& match) const;

  std::vector<AddedToken> tokens_;
  Trie trie_;
  std::array<bool, 256> begins_{};  // bytes that a pattern begins with
};

}  // namespace gannet::tokenization
