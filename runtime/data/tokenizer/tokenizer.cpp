#include "runtime/data/tokenizer/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/data/tokenizer/bytes_to_characters.h"
#include "runtime/data/tokenizer/tokenizer_parts.h"
#include "runtime/data/tokenizer/unicode.h"

namespace gannet {
namespace {

using namespace tokenization;

constexpr size_t kLongestText = size_t{1} << 28;  // what comes of it has lengths of 32 bits

// A Scratch for as long as it lives.
class Lease {
 public:
  explicit Lease(ScratchPool& pool) : pool_(pool), scratch_(pool.take()) {}
  ~Lease() { pool_.give_back(std::move(scratch_)); }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  Scratch& operator*() const { return *scratch_; }

 private:
  ScratchPool& pool_;
  std::unique_ptr<Scratch> scratch_;
};

// Tokens beyond `max_length` need not be made, as they are cut off afterwards; -1: all are made. Which of two texts is cut
// first depends on how long they are.
int64_t needed_tokens(const EncodeOptions& options, bool pair) {
  const bool compares = pair && options.strategy == TruncationStrategy::kLongestFirst;
  return options.max_length > 0 && options.truncated_side == TextSide::kRight && !compares ? options.max_length : -1;
}

Status uncached_ids(const TokenizerParts& parts, std::string_view word, std::vector<int32_t>& ids,
                    Scratch& scratch) {
  if (!parts.encodes_bytes) return parts.model->tokenize(word, ids, scratch.model);
  scratch.encoded.clear();
  append_byte_characters(scratch.encoded, word);
  return parts.model->tokenize(scratch.encoded, ids, scratch.model);
}

Status model_ids(const TokenizerParts& parts, std::string_view word, std::vector<int32_t>& ids,
                 Scratch& scratch) {
  if (word.size() > WordCache::kMaxWordBytes) return uncached_ids(parts, word, ids, scratch);
  if (scratch.cache.find(word, ids)) return {};
  size_t before = ids.size();
  TRY(uncached_ids(parts, word, ids, scratch));
  scratch.cache.add(word, std::span(ids).subspan(before));
  return {};
}

// The pieces of a text between added tokens, normalized.
Status find_pieces(const TokenizerParts& parts, std::string_view text, Scratch& scratch) {
  scratch.arena.clear();
  scratch.pieces.clear();
  if (parts.raw_finder.empty()) {
    if (!text.empty()) scratch.pieces.push_back({text, Piece::kText, true});
  } else {
    parts.raw_finder.split({text, Piece::kText, true}, scratch.pieces);
  }
  if (parts.normalizer) {
    for (Piece& piece : scratch.pieces) {
      if (piece.id != Piece::kText) continue;
      std::string& normalized = scratch.arena.fresh();
      TRY(parts.normalizer->normalize(piece.text, normalized, piece.at_beginning));
      piece.text = normalized;
    }
  }
  if (parts.normalized_finder.empty()) return {};
  scratch.more.clear();
  for (const Piece& piece : scratch.pieces) {
    if (piece.id != Piece::kText) {
      scratch.more.push_back(piece);
    } else {
      parts.normalized_finder.split(piece, scratch.more);
    }
  }
  scratch.pieces.swap(scratch.more);
  return {};
}

// The ids of a text without special tokens around it; at least `needed` where there are so many.
Status text_ids(const TokenizerParts& parts, std::string_view text, int64_t needed, std::vector<int32_t>& ids,
                Scratch& scratch) {
  ids.clear();
  if (text.size() > kLongestText) {
    return invalid_input(fmt::format("a text of {} bytes; texts have up to {}", text.size(), kLongestText));
  }
  if (std::optional<size_t> bad = find_invalid_utf8(text))
    return invalid_input(fmt::format("byte {} is not UTF-8", *bad));
  TRY(find_pieces(parts, text, scratch));
  for (const Piece& piece : scratch.pieces) {
    if (needed >= 0 && static_cast<int64_t>(ids.size()) >= needed) break;
    if (piece.id != Piece::kText) {
      ids.push_back(piece.id);
      continue;
    }
    if (piece.text.empty()) continue;
    if (!parts.pre_tokenizer) {
      TRY(model_ids(parts, piece.text, ids, scratch));
      continue;
    }
    scratch.more.clear();
    TRY(parts.pre_tokenizer->split(piece, scratch.more, scratch.arena));
    for (const Piece& word : scratch.more) {
      if (!word.text.empty()) TRY(model_ids(parts, word.text, ids, scratch));
      if (needed >= 0 && static_cast<int64_t>(ids.size()) >= needed) break;
    }
  }
  return {};
}

Result<Encoding> encode_with(const TokenizerParts& parts, std::string_view first,
                             const std::string_view* second, const EncodeOptions& options, Scratch& scratch) {
  TRY(text_ids(parts, first, needed_tokens(options, second != nullptr), scratch.first, scratch));
  scratch.second.clear();
  if (second) {
    Status status = text_ids(parts, *second, needed_tokens(options, second != nullptr), scratch.second, scratch);
    if (!status.ok()) return with_prefix("second text: ", status.error());
  }
  const std::vector<TemplatePart>& layout = second ? parts.post_processor.pair : parts.post_processor.single;
  TRY(truncate(scratch.first, second ? &scratch.second : nullptr, options, special_count(layout)));
  return assemble(layout, scratch.first, scratch.second, options.add_special);
}

// Nanoseconds that a byte of text takes, for deciding how many threads are worth waking.
constexpr int64_t kNanosecondsPerByte = 10;

Result<std::vector<Encoding>> encode_many(const TokenizerParts& parts,
                                          std::span<const std::string_view> firsts,
                                          std::span<const std::string_view> seconds,
                                          const EncodeOptions& options, const Threads& threads) {
  std::vector<Encoding> encodings(firsts.size());
  int64_t bytes = 0;
  for (std::string_view text : firsts) bytes += static_cast<int64_t>(text.size());
  for (std::string_view text : seconds) bytes += static_cast<int64_t>(text.size());
  int workers = threads.workers_for(bytes * kNanosecondsPerByte);
  std::mutex mutex;
  std::optional<std::pair<int64_t, Error>> failure;
  threads.parallel_for(static_cast<int64_t>(firsts.size()), workers, [&](int64_t begin, int64_t end, int) {
    Lease scratch(parts.scratch);
    for (int64_t i = begin; i < end; ++i) {
      size_t at = static_cast<size_t>(i);
      Result<Encoding> encoding =
          encode_with(parts, firsts[at], seconds.empty() ? nullptr : &seconds[at], options, *scratch);
      if (encoding.ok()) {
        encodings[at] = std::move(*encoding);
        continue;
      }
      std::lock_guard lock(mutex);
      if (!failure || i < failure->first) failure.emplace(i, encoding.error());
      break;
    }
  });
  if (failure) return with_prefix(fmt::format("text {}: ", failure->first), failure->second);
  return encodings;
}

}  // namespace

Result<Encoding> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  Lease scratch(parts_->scratch);
  return encode_with(*parts_, text, nullptr, options, *scratch);
}

Result<Encoding> Tokenizer::encode_pair(std::string_view first, std::string_view second,
                                        const EncodeOptions& options) const {
  Lease scratch(parts_->scratch);
  return encode_with(*parts_, first, &second, options, *scratch);
}

Result<std::vector<Encoding>> Tokenizer::encode_all(std::span<const std::string_view> texts,
                                                    const EncodeOptions& options,
                                                    const Threads& threads) const {
  return encode_many(*parts_, texts, {}, options, threads);
}

Result<std::vector<Encoding>> Tokenizer::encode_pairs(std::span<const std::string_view> firsts,
                                                      std::span<const std::string_view> seconds,
                                                      const EncodeOptions& options,
                                                      const Threads& threads) const {
  CHECK(firsts.size() == seconds.size(), "{} first texts and {} second ones", firsts.size(), seconds.size());
  return encode_many(*parts_, firsts, seconds, options, threads);
}

const EncodeOptions& Tokenizer::defaults() const { return parts_->defaults; }
const PaddingOptions& Tokenizer::padding() const { return parts_->padding; }
int64_t Tokenizer::vocabulary_size() const { return parts_->size; }

std::optional<int32_t> Tokenizer::id_of(std::string_view token) const {
  for (const AddedToken& added : parts_->added) {
    if (added.content == token) return added.id;
  }
  return parts_->vocabulary.id_of(token);
}

std::string_view Tokenizer::token_of(int64_t id) const {
  for (const AddedToken& added : parts_->added) {
    if (added.id == id) return added.content;
  }
  return parts_->vocabulary.token_of(id);
}

std::optional<int32_t> Tokenizer::pad_id() const { return parts_->pad_id; }

void pad(std::span<Encoding> encodings, const PaddingOptions& options) {
  int64_t length = options.length;
  for (const Encoding& encoding : encodings) length = std::max(length, encoding.size());
  if (options.multiple > 0) length = (length + options.multiple - 1) / options.multiple * options.multiple;
  for (Encoding& encoding : encodings) {
    size_t missing = static_cast<size_t>(length - encoding.size());
    auto add = [&](auto& values, auto value) {
      values.insert(options.side == TextSide::kRight ? values.end() : values.begin(), missing, value);
    };
    add(encoding.ids, options.id);
    add(encoding.type_ids, options.type_id);
    add(encoding.special_mask, uint8_t{1});
    add(encoding.attention_mask, uint8_t{0});
  }
}

}  // namespace gannet
