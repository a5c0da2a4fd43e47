#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "ir/base/file.h"
#include "runtime/data/text_lists.h"
#include "runtime/data/tokenizer/tokenizer_parts.h"
#include "runtime/data/tokenizer/unicode.h"

namespace gannet {
namespace {

using namespace tokenization;

// An empty line takes a number, but is no token.
Result<Vocabulary> read_vocabulary(const std::vector<std::string>& lines) {
  if (lines.empty()) return invalid_input("holds no tokens");
  std::vector<std::pair<std::string_view, int32_t>> sorted;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (std::optional<size_t> bad = find_invalid_utf8(lines[i])) {
      return invalid_input(fmt::format("line {}: byte {} is not UTF-8", i + 1, *bad));
    }
    if (!lines[i].empty()) sorted.emplace_back(lines[i], static_cast<int32_t>(i));
  }
  std::sort(sorted.begin(), sorted.end());
  auto twice = std::adjacent_find(sorted.begin(), sorted.end(),
                                  [](const auto& a, const auto& b) { return a.first == b.first; });
  if (twice != sorted.end()) {
    return invalid_input(fmt::format("lines {} and {} are the same token '{}'", twice[0].second + 1,
                                     twice[1].second + 1, twice->first));
  }
  std::vector<std::pair<std::string, int64_t>> tokens;
  tokens.reserve(sorted.size());
  for (const auto& [token, id] : sorted) tokens.emplace_back(token, id);
  return Vocabulary::create(std::move(tokens));
}

bool is_bracketed(std::string_view token) {
  return (token.starts_with('[') && token.ends_with(']')) || (token.starts_with('<') && token.ends_with('>'));
}

struct LetterCounts {
  int64_t upper = 0;     // tokens with a letter that lower case would change
  int64_t accented = 0;  // tokens with a letter that loses an accent
};

LetterCounts count_letters(const Vocabulary& vocabulary) {
  LetterCounts counts;
  for (int64_t id = 0; id < vocabulary.size(); ++id) {
    std::string_view token = vocabulary.token_of(id);
    if (is_bracketed(token)) continue;
    bool upper = false, accented = false;
    for (size_t i = 0; i < token.size();) {
      size_t start = i;
      char32_t c = next_character(token, i);
      std::string changed;
      append_lower_case(changed, c);
      upper |= changed != token.substr(start, i - start);
      if (c < 0xc0) continue;
      std::string decomposed;
      append_normal_form(decomposed, token.substr(start, i - start), NormalForm::kNfd);
      for (size_t k = 0; k < decomposed.size();)
        accented |= is_nonspacing_mark(next_character(decomposed, k));
    }
    counts.upper += upper;
    counts.accented += accented;
  }
  return counts;
}

// A few stray tokens of the other kind say nothing.
bool is_rare(int64_t count, const Vocabulary& vocabulary) { return count * 1000 <= vocabulary.count(); }

Status add_parts(TokenizerParts& parts, const WordPieceOptions& options) {
  std::optional<int32_t> unknown = parts.vocabulary.id_of(options.unknown);
  std::optional<int32_t> first = parts.vocabulary.id_of(options.first),
                         separator = parts.vocabulary.id_of(options.separator);
  for (const auto& [id, name] : {std::pair(unknown, &options.unknown), std::pair(first, &options.first),
                                 std::pair(separator, &options.separator)}) {
    if (!id)
      return invalid_input(fmt::format("has no token {} among its {}", *name, parts.vocabulary.count()));
  }
  const bool told = options.lower_case && (!*options.lower_case || options.strip_accents);
  const LetterCounts letters = told ? LetterCounts() : count_letters(parts.vocabulary);
  bool lower_case = options.lower_case.value_or(is_rare(letters.upper, parts.vocabulary));
  bool strip_accents =
      options.strip_accents.value_or(lower_case && is_rare(letters.accented, parts.vocabulary));
  parts.normalizer = make_bert_normalizer({options.clean_text, options.split_cjk, strip_accents, lower_case});
  parts.pre_tokenizer = make_bert_pre_tokenizer();
  parts.model = make_word_piece(parts.vocabulary,
                                {options.unknown, options.continuing_prefix, options.max_word_characters});
  parts.post_processor = bert_post_processor(*first, *separator);
  parts.pad_id = parts.vocabulary.id_of(options.padding);
  parts.padding.id = parts.pad_id.value_or(0);
  std::vector<std::string> patterns;
  for (const std::string* name :
       {&options.unknown, &options.first, &options.separator, &options.padding, &options.mask}) {
    std::optional<int32_t> id = parts.vocabulary.id_of(*name);
    if (!id) continue;
    AddedToken token;
    token.content = *name;
    token.id = *id;
    token.special = true;
    parts.added.push_back(token);
    patterns.push_back(*name);
  }
  parts.raw_finder = AddedTokenFinder(parts.added, patterns);
  parts.size = parts.vocabulary.size();
  return {};
}

}  // namespace

Result<Tokenizer> Tokenizer::from_vocab(std::string_view contents, const std::string& name,
                                        const WordPieceOptions& options) {
  Result<Vocabulary> vocabulary = read_vocabulary(lines_of(contents));
  if (!vocabulary.ok()) return with_prefix(name + ": ", vocabulary.error());
  auto parts = std::make_shared<TokenizerParts>();
  parts->vocabulary = std::move(*vocabulary);
  Status status = add_parts(*parts, options);
  if (!status.ok()) return with_prefix(name + ": ", status.error());
  return Tokenizer(std::move(parts));
}

Result<Tokenizer> Tokenizer::from_vocab_file(const std::string& path, const WordPieceOptions& options,
                                             int64_t max_bytes) {
  return from_vocab(TRY(read_file(path, max_bytes)), path, options);
}

}  // namespace gannet
