// What Split and Replace look for: a literal or a regular expression.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ir/base/error.h"

namespace gannet::tokenization {

// Bytes [begin, end) of a text.
struct Match {
  size_t begin = 0, end = 0;
};

class Pattern {
 public:
  virtual ~Pattern() = default;
  // Appends all matches from left to right, none of which overlap. An error where matching takes too long.
  virtual Status find_all(std::string_view text, std::vector<Match>& matches) const = 0;
};

std::unique_ptr<Pattern> make_literal_pattern(std::string literal);
// A regular expression. Those of GPT-2 and of its successors (cl100k, Llama 3, Qwen 2) are recognized and
// matched by hand-written code. An error where it is malformed.
Result<std::unique_ptr<Pattern>> make_regex_pattern(const std::string& expression);
// The same, always matched by ICU.
Result<std::unique_ptr<Pattern>> make_icu_pattern(const std::string& expression);

// Splits the way GPT-2 does: contractions, words, numbers and symbols, each with at most one space before it.
inline constexpr std::string_view kGpt2Expression =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
// The hand-written pattern of a known expression; null where it is not known.
std::unique_ptr<Pattern> make_known_pattern(std::string_view expression);

}  // namespace gannet::tokenization
