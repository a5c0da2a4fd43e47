// Pre-tokenizers: from the normalized text to words, each of which a model sees alone.
#pragma once

#include <memory>

#include "ir/base/error.h"
#include "runtime/data/tokenizer/piece.h"

namespace gannet::tokenization {

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  // Appends the words of `piece`, which is text and not empty, to `words`; empty words may be among them.
  // What is rewritten stands in `arena`.
  virtual Status split(const Piece& piece, Pieces& words, TextArena& arena) const = 0;
};

// Splits at white space, which it drops, and makes each punctuation character a word.
std::unique_ptr<PreTokenizer> make_bert_pre_tokenizer();

}  // namespace gannet::tokenization
