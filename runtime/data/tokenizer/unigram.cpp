#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "runtime/data/tokenizer/model.h"
#include "runtime/data/tokenizer/unicode.h"

namespace gannet::tokenization {
namespace {

using PathEnd = ModelScratch::PathEnd;

// The pieces with the highest sum of scores (Kudo 2018), by one pass over the text as in SentencePiece's
// EncodeOptimized.
class Unigram : public Model {
 public:
  Unigram(const Vocabulary& vocabulary, UnigramOptions options)
      : vocabulary_(vocabulary), options_(std::move(options)) {
    double lowest = std::numeric_limits<double>::infinity();
    for (double score : options_.scores) lowest = std::min(lowest, score);
    unknown_score_ = lowest - kUnknownPenalty;
    for (size_t byte = 0; byte < bytes_.size(); ++byte) {
      bytes_[byte] = vocabulary.id_of(fmt::format("<0x{:02X}>", byte)).value_or(Trie::kNone);
    }
  }

  Status tokenize(std::string_view word, std::vector<int32_t>& ids, ModelScratch& scratch) const override {
    TRY(find_path(word, scratch.path));
    // From the end to the beginning; unknown characters in a row are one piece.
    size_t before = ids.size();
    size_t unknown_end = 0;
    for (size_t end = word.size(); end > 0;) {
      const PathEnd& piece = scratch.path[end];
      size_t start = static_cast<size_t>(piece.start);
      if (piece.id == options_.unknown) {
        if (unknown_end == 0) unknown_end = end;
        if (start == 0) TRY(add_unknown(word.substr(0, unknown_end), ids));
      } else {
        if (unknown_end > 0) TRY(add_unknown(word.substr(end, unknown_end - end), ids));
        unknown_end = 0;
        ids.push_back(piece.id);
      }
      end = start;
    }
    std::reverse(ids.begin() + static_cast<int64_t>(before), ids.end());
    return {};
  }

 private:
  static constexpr double kUnknownPenalty = 10.0;

  // path[i]: the last piece of the best way to the first i bytes.
  Status find_path(std::string_view word, std::vector<PathEnd>& path) const {
    const Trie& trie = vocabulary_.trie();
    path.assign(word.size() + 1, {0.0, -1, 0});
    for (size_t start = 0; start < word.size();) {
      double score = path[start].score;
      size_t character_end = start + utf8_length(word[start]);
      bool single = false;
      int32_t node = Trie::root();
      for (size_t end = start; end < word.size();) {
        node = trie.child(node, word[end++]);
        if (node == Trie::kNone) break;
        int32_t id = trie.value(node);
        if (id == Trie::kNone) continue;
        offer(path[end], score + options_.scores[static_cast<size_t>(id)], start, id);
        single |= end == character_end;
      }
      if (!single) {
        if (!options_.unknown) {
          return invalid_input(
              fmt::format("'{}' is not in the vocabulary, which has no piece for the unknown",
                          word.substr(start, character_end - start)));
        }
        offer(path[character_end], score + unknown_score_, start, *options_.unknown);
      }
      start = character_end;
    }
    return {};
  }

  static void offer(PathEnd& end, double score, size_t start, int32_t id) {
    if (end.start < 0 || score > end.score) end = {score, static_cast<int32_t>(start), id};
  }

  // Appends in reverse.
  Status add_unknown(std::string_view text, std::vector<int32_t>& ids) const {
    if (std::optional<int32_t> id = vocabulary_.id_of(text)) return ids.push_back(*id), Status();
    bool bytes = options_.byte_fallback && std::all_of(text.begin(), text.end(), [&](char byte) {
                   return bytes_[static_cast<uint8_t>(byte)] != Trie::kNone;
                 });
    if (bytes) {
      for (size_t i = text.size(); i-- > 0;) ids.push_back(bytes_[static_cast<uint8_t>(text[i])]);
    } else {
      ids.push_back(*options_.unknown);
    }
    return {};
  }

  const Vocabulary& vocabulary_;
  UnigramOptions options_;
  double unknown_score_ = 0;
  std::array<int32_t, 256> bytes_;
};

class WordLevel : public Model {
 public:
  WordLevel(const Vocabulary& vocabulary, const std::string& unknown)
      : vocabulary_(vocabulary), name_(unknown), unknown_(vocabulary.id_of(unknown)) {}

  Status tokenize(std::string_view word, std::vector<int32_t>& ids, ModelScratch&) const override {
    std::optional<int32_t> id = vocabulary_.id_of(word);
    if (!id) id = unknown_;
    if (!id)
      return invalid_input(
          fmt::format("the word '{}' is not in the vocabulary, and neither is {}", word, name_));
    ids.push_back(*id);
    return {};
  }

 private:
  const Vocabulary& vocabulary_;
  std::string name_;
  std::optional<int32_t> unknown_;
};

}  // namespace

std::unique_ptr<Model> make_unigram(const Vocabulary& vocabulary, UnigramOptions options) {
  return std::make_unique<Unigram>(vocabulary, std::move(options));
}

std::unique_ptr<Model> make_word_level(const Vocabulary& vocabulary, const std::string& unknown) {
  return std::make_unique<WordLevel>(vocabulary, unknown);
}

}  // namespace gannet::tokenization
