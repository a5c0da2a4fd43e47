// Text to token ids, exactly as Hugging Face's tokenizers do it: BERT's vocab.txt and tokenizer.json. A
// Tokenizer is immutable: copies share everything, and any number of threads may use one at the same time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/base/error.h"
#include "runtime/threads/threads.h"

namespace gannet {

struct TokenizerParts;

// What a model reads of a text or a pair of texts. All members have the same length.
struct Encoding {
  std::vector<int32_t> ids;
  std::vector<int32_t>
      type_ids;  // 0 for the first text and 1 for the second, where the tokenizer tells them apart
  std::vector<uint8_t> special_mask;    // 1: put in by the tokenizer ([CLS], [SEP], padding), not in the text
  std::vector<uint8_t> attention_mask;  // 0: padding

  int64_t size() const { return static_cast<int64_t>(ids.size()); }
};

enum class TextSide { kRight, kLeft };
// Which of two texts loses tokens: the longer one until both are equally long, or always the same.
enum class TruncationStrategy { kLongestFirst, kOnlyFirst, kOnlySecond };

struct EncodeOptions {
  bool add_special = true;
  int64_t max_length = 0;  // of the encoding, special tokens included; 0: no limit
  TruncationStrategy strategy = TruncationStrategy::kLongestFirst;
  TextSide truncated_side = TextSide::kRight;  // where tokens are cut off
};

struct PaddingOptions {
  int64_t length = 0;    // at least this; 0: the longest of those that are padded together
  int64_t multiple = 0;  // rounded up to a multiple of this; 0: as it is
  TextSide side = TextSide::kRight;
  int32_t id = 0;
  int32_t type_id = 0;
};

// How a vocab.txt is used. What is not given is found from the tokens: a vocabulary without upper case is one
// of lower case, and one of lower case that has no accented letters was made without accents.
struct WordPieceOptions {
  std::optional<bool> lower_case;
  std::optional<bool> strip_accents;
  bool clean_text = true;             // control characters are dropped, all white space is a space
  bool split_cjk = true;              // each CJK ideograph is a word
  int64_t max_word_characters = 100;  // a longer word is unknown
  std::string continuing_prefix = "##";
  std::string unknown = "[UNK]", first = "[CLS]", separator = "[SEP]", padding = "[PAD]", mask = "[MASK]";
};

class Tokenizer {
 public:
  // The largest file that is read.
  static constexpr int64_t kMaxFileBytes = int64_t{1} << 30;

  // A BERT vocabulary: one token a line, its id the number of the line from 0. An error for an empty file, a
  // token that stands there twice, text that is not UTF-8, or one of unknown, first and separator missing.
  static Result<Tokenizer> from_vocab_file(const std::string& path, const WordPieceOptions& options = {},
                                           int64_t max_bytes = kMaxFileBytes);
  // A tokenizer.json or a vocab.txt, whichever it is by its content.
  static Result<Tokenizer> from_file(const std::string& path, int64_t max_bytes = kMaxFileBytes);
  // The same from what such files hold; messages begin with `name`.
  static Result<Tokenizer> from_vocab(std::string_view contents, const std::string& name,
                                      const WordPieceOptions& options = {});
  // A tokenizer.json: models WordPiece, BPE, Unigram and WordLevel, with their normalizers, pre-tokenizers,
  // post-processors and added tokens. What is not known is an error that names it. Decoders are not read,
  // dropout is not applied.
  static Result<Tokenizer> from_json(std::string_view contents, const std::string& name);

  // Encodes a text as UTF-8. An error where it is not (naming the byte), or has a word that the model cannot
  // express and no token for the unknown.
  Result<Encoding> encode(std::string_view text, const EncodeOptions& options) const;
  Result<Encoding> encode(std::string_view text) const { return encode(text, defaults()); }
  // Two texts in one encoding.
  Result<Encoding> encode_pair(std::string_view first, std::string_view second,
                               const EncodeOptions& options) const;
  // All texts, on all threads. The error is that of the first text that has one, with its index: "text 17:
  // ...".
  Result<std::vector<Encoding>> encode_all(std::span<const std::string_view> texts,
                                           const EncodeOptions& options, const Threads& threads) const;
  // Pair i is firsts[i] and seconds[i]; both have the same length.
  Result<std::vector<Encoding>> encode_pairs(std::span<const std::string_view> firsts,
                                             std::span<const std::string_view> seconds,
                                             const EncodeOptions& options, const Threads& threads) const;

  // What the file says about truncation; no limit where it says nothing.
  const EncodeOptions& defaults() const;
  // What the file says about padding; where it says nothing, to the longest, with pad_id() or 0.
  const PaddingOptions& padding() const;

  // One more than the highest id, of special tokens and padding too: the rows that an embedding needs.
  int64_t vocabulary_size() const;
  std::optional<int32_t> id_of(std::string_view token) const;
  // Empty where no token has this id. Valid as long as a copy of the tokenizer lives.
  std::string_view token_of(int64_t id) const;
  std::optional<int32_t> pad_id() const;

  // Made by the readers.
  explicit Tokenizer(std::shared_ptr<const TokenizerParts> parts) : parts_(std::move(parts)) {}

 private:
  std::shared_ptr<const TokenizerParts> parts_;
};

// Makes all encodings equally long.
void pad(std::span<Encoding> encodings, const PaddingOptions& options);

}  // namespace gannet
