// Models: from a word, as pre-tokenizers leave it, to ids.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ir/base/error.h"
#include "runtime/data/tokenizer/vocabulary.h"

namespace gannet::tokenization {

// Memory that a model works in, so that a warm call allocates nothing.
struct ModelScratch {
  struct Symbol {
    int32_t id;
    int32_t previous, next;  // -1: none
    int32_t length;          // 0: merged into the one before
  };
  struct Merge {
    uint32_t rank;
    int32_t position;
    int32_t id;
  };
  struct PathEnd {
    double score;
    int32_t start;  // -1: not reached
    int32_t id;
  };

  std::string text;
  std::vector<Symbol> symbols;
  std::vector<Merge> queue;
  std::vector<PathEnd> path;
};

class Model {
 public:
  virtual ~Model() = default;
  // Appends the ids of a word that is not empty. An error where the word cannot be expressed and no token
  // stands for the unknown.
  virtual Status tokenize(std::string_view word, std::vector<int32_t>& ids, ModelScratch& scratch) const = 0;
};

struct WordPieceModelOptions {
  std::string unknown = "[UNK]";
  std::string continuing_prefix = "##";
  int64_t max_word_characters = 100;
};

struct BpeOptions {
  std::optional<std::string> unknown;
  std::string continuing_prefix;
  std::string end_of_word_suffix;
  bool fuse_unknown = false;
  bool byte_fallback =
      false;  // a character that is no token becomes the tokens <0x00> to <0xFF> of its bytes
  bool ignore_merges = false;  // a word that is a token is one, whatever the merges say
};

struct UnigramOptions {
  std::vector<double> scores;  // one for each id
  std::optional<int32_t> unknown;
  bool byte_fallback = false;
};

// The vocabulary must outlive a model.
std::unique_ptr<Model> make_word_piece(const Vocabulary& vocabulary, const WordPieceModelOptions& options);
// Merges in order of rank. An error where one of a merge's three tokens is not in the vocabulary.
Result<std::unique_ptr<Model>> make_bpe(const Vocabulary& vocabulary,
                                        const std::vector<std::pair<std::string, std::string>>& merges,
                                        const BpeOptions& options);
std::unique_ptr<Model> make_unigram(const Vocabulary& vocabulary, UnigramOptions options);
// A word is a token or unknown.
std::unique_ptr<Model> make_word_level(const Vocabulary& vocabulary, const std::string& unknown);

}  // namespace gannet::tokenization
