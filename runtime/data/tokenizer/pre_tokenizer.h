// Pre-tokenizers: from the normalized text to words, each of which a model sees alone.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ir/base/error.h"
#include "runtime/data/tokenizer/pattern.h"
#include "runtime/data/tokenizer/piece.h"

namespace gannet::tokenization {

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  // Appends the words of `piece`, which is text and not empty, to `words`; empty words may be among them.
  // What is rewritten stands in `arena`.
  virtual Status split(const Piece& piece, Pieces& words, TextArena& arena) const = 0;
};

// What becomes of the matches at which a text is split.
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

// Characters of a kind.
using CharacterTest = bool (*)(char32_t);

// Splits at white space, which it drops, and makes each punctuation character a word.
std::unique_ptr<PreTokenizer> make_bert_pre_tokenizer();
// Runs of \w, and runs of what is neither \w nor white space.
std::unique_ptr<PreTokenizer> make_whitespace_pre_tokenizer();
// Splits at each character that passes the test.
std::unique_ptr<PreTokenizer> make_character_split(CharacterTest test, SplitBehavior behavior);
std::unique_ptr<PreTokenizer> make_pattern_split(std::unique_ptr<Pattern> pattern, SplitBehavior behavior,
                                                 bool invert);
// Splits where the script changes; spaces belong to what stands before them.
std::unique_ptr<PreTokenizer> make_script_split();
// Words of `length` characters.
std::unique_ptr<PreTokenizer> make_fixed_length_split(int64_t length);

struct ByteLevelOptions {
  bool add_prefix_space = true;
  bool use_regex = true;  // splits as GPT-2 does
  bool encode = true;     // bytes become characters; false: who takes the words does it
};
std::unique_ptr<PreTokenizer> make_byte_level(const ByteLevelOptions& options);

// Where a text gets a space before it.
enum class PrependScheme { kAlways, kFirst, kNever };
// SentencePiece's: spaces become `replacement`, with which each word begins.
std::unique_ptr<PreTokenizer> make_metaspace(std::string replacement, PrependScheme scheme, bool split);

// One after the other.
std::unique_ptr<PreTokenizer> make_pre_tokenizer_sequence(std::vector<std::unique_ptr<PreTokenizer>> steps);

}  // namespace gannet::tokenization
