// What a Tokenizer is made of.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "runtime/data/tokenizer/added_tokens.h"
#include "runtime/data/tokenizer/model.h"
#include "runtime/data/tokenizer/normalizer.h"
#include "runtime/data/tokenizer/piece.h"
#include "runtime/data/tokenizer/post_processor.h"
#include "runtime/data/tokenizer/pre_tokenizer.h"
#include "runtime/data/tokenizer/tokenizer.h"
#include "runtime/data/tokenizer/word_cache.h"

namespace gannet {
namespace tokenization {

// The memory that one thread encodes in.
struct Scratch {
  Pieces pieces, more;
  TextArena arena;
  ModelScratch model;
  std::string encoded;  // a word in GPT-2's characters
  WordCache cache;
  std::vector<int32_t> first, second;
};

// Lends each thread a Scratch of its own; what comes back is lent again, with all that its cache has learned.
class ScratchPool {
 public:
  std::unique_ptr<Scratch> take() {
    std::lock_guard lock(mutex_);
    if (free_.empty()) return std::make_unique<Scratch>();
    std::unique_ptr<Scratch> scratch = std::move(free_.back());
    free_.pop_back();
    return scratch;
  }
  void give_back(std::unique_ptr<Scratch> scratch) {
    std::lock_guard lock(mutex_);
    free_.push_back(std::move(scratch));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Scratch>> free_;
};

}  // namespace tokenization

struct TokenizerParts {
  tokenization::Vocabulary vocabulary;
  std::vector<tokenization::AddedToken> added;                // all of them, for names and ids
  tokenization::AddedTokenFinder raw_finder;                  // in the text as it is given
  tokenization::AddedTokenFinder normalized_finder;           // in the normalized text
  std::unique_ptr<tokenization::Normalizer> normalizer;       // null: none
  std::unique_ptr<tokenization::PreTokenizer> pre_tokenizer;  // null: none
  bool encodes_bytes = false;  // words become GPT-2's characters before the model sees them
  std::unique_ptr<tokenization::Model> model;
  tokenization::PostProcessor post_processor;
  EncodeOptions defaults;
  PaddingOptions padding;
  std::optional<int32_t> pad_id;
  int64_t size = 0;  // one more than the highest id
  mutable tokenization::ScratchPool scratch;
};

}  // namespace gannet
