#include "runtime/data/tokenizer/added_tokens.h"

#include <algorithm>

#include "runtime/data/tokenizer/unicode.h"

namespace gannet::tokenization {
namespace {

// The start of the character that ends at `end`.
size_t character_before(std::string_view text, size_t end) {
  --end;
  while (end > 0 && (static_cast<uint8_t>(text[end]) & 0xc0) == 0x80) --end;
  return end;
}

bool is_single_word(std::string_view text, size_t begin, size_t end) {
  if (begin > 0 && is_word_character(first_character(text.substr(character_before(text, begin)))))
    return false;
  return end == text.size() || !is_word_character(first_character(text.substr(end)));
}

size_t skip_space_left(std::string_view text, size_t begin, size_t limit) {
  while (begin > limit) {
    size_t before = character_before(text, begin);
    if (!is_white_space(first_character(text.substr(before)))) break;
    begin = before;
  }
  return std::max(begin, limit);
}

size_t skip_space_right(std::string_view text, size_t end) {
  while (end < text.size()) {
    size_t next = end;
    if (!is_white_space(next_character(text, next))) break;
    end = next;
  }
  return end;
}

}  // namespace

AddedTokenFinder::AddedTokenFinder(std::vector<AddedToken> tokens, const std::vector<std::string>& patterns)
    : tokens_(std::move(tokens)) {
  std::vector<std::pair<std::string_view, int32_t>> entries;
  for (size_t i = 0; i < tokens_.size(); ++i) {
    if (patterns[i].empty()) continue;
    entries.emplace_back(patterns[i], static_cast<int32_t>(i));
    begins_[static_cast<uint8_t>(patterns[i][0])] = true;
  }
  trie_ = Trie(std::move(entries));
}

bool AddedTokenFinder::find(std::string_view text, size_t from, Match& match) const {
  for (size_t i = from; i < text.size(); ++i) {
    if (!begins_[static_cast<uint8_t>(text[i])]) continue;
    int32_t node = Trie::root(), longest = Trie::kNone;
    for (size_t k = i; k < text.size(); ++k) {
      node = trie_.child(node, text[k]);
      if (node == Trie::kNone) break;
      if (trie_.value(node) == Trie::kNone) continue;
      longest = trie_.value(node);
      match.end = k + 1;
    }
    if (longest == Trie::kNone) continue;
    match.begin = i;
    match.token = &tokens_[static_cast<size_t>(longest)];
    return true;
  }
  return false;
}

void AddedTokenFinder::split(const Piece& piece, Pieces& pieces) const {
  std::string_view text = piece.text;
  auto put = [&](size_t begin, size_t end, int32_t id) {
    if (end > begin)
      pieces.push_back({text.substr(begin, end - begin), id, piece.at_beginning && begin == 0});
  };
  size_t done = 0;
  Match match{};
  for (size_t from = 0; find(text, from, match); from = match.end) {
    if (match.token->single_word && !is_single_word(text, match.begin, match.end)) continue;
    // The white space that a match takes on its right is not skipped by the search: a token may begin with a
    // space.
    size_t begin = match.token->strip_left ? skip_space_left(text, match.begin, done) : match.begin;
    size_t end = match.token->strip_right ? skip_space_right(text, match.end) : match.end;
    if (done < begin) put(done, begin, Piece::kText);
    put(begin, end, match.token->id);
    done = end;
  }
  if (done < text.size()) put(done, text.size(), Piece::kText);
}

}  // namespace gannet::tokenization
