#include <fmt/format.h>

#include "runtime/data/tokenizer/model.h"
#include "runtime/data/tokenizer/unicode.h"

namespace gannet::tokenization {
namespace {

// The longest token first (Schuster and Nakajima 2012, as BERT has it): one walk in the trie for each piece.
class WordPiece : public Model {
 public:
  WordPiece(const Vocabulary& vocabulary, const WordPieceModelOptions& options)
      : trie_(vocabulary.trie()), options_(options), unknown_(vocabulary.id_of(options.unknown)) {
    inner_ = trie_.descend(Trie::root(), options.continuing_prefix);
  }

  Status tokenize(std::string_view word, std::vector<int32_t>& ids, ModelScratch&) const override {
    size_t before = ids.size();
    if (static_cast<int64_t>(word.size()) > options_.max_word_characters &&
        static_cast<int64_t>(count_characters(word)) > options_.max_word_characters) {
      return add_unknown(word, ids, before);
    }
    for (size_t start = 0; start < word.size();) {
      int32_t node = start == 0 ? Trie::root() : inner_;
      int32_t longest = Trie::kNone;
      size_t end = start;
      for (size_t i = start; i < word.size() && node != Trie::kNone;) {
        node = trie_.child(node, word[i++]);
        if (node == Trie::kNone || trie_.value(node) == Trie::kNone) continue;
        longest = trie_.value(node);
        end = i;
      }
      if (longest == Trie::kNone) return add_unknown(word, ids, before);
      ids.push_back(longest);
      start = end;
    }
    return {};
  }

 private:
  Status add_unknown(std::string_view word, std::vector<int32_t>& ids, size_t before) const {
    if (!unknown_) {
      return invalid_input(
          fmt::format("the word '{}' is not in the vocabulary, and neither is {}", word, options_.unknown));
    }
    ids.resize(before);
    ids.push_back(*unknown_);
    return {};
  }

  const Trie& trie_;
  WordPieceModelOptions options_;
  std::optional<int32_t> unknown_;
  int32_t inner_;  // behind the prefix of pieces inside a word
};

}  // namespace

std::unique_ptr<Model> make_word_piece(const Vocabulary& vocabulary, const WordPieceModelOptions& options) {
  return std::make_unique<WordPiece>(vocabulary, options);
}

}  // namespace gannet::tokenization
