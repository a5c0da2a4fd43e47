#include <array>

#include "runtime/data/tokenizer/pattern.h"
#include "runtime/data/tokenizer/unicode.h"

namespace gannet::tokenization {
namespace {

enum class Kind : uint8_t { kLetter, kNumber, kSpace, kOther, kEnd };

Kind kind_of(char32_t c) {
  if (is_letter(c)) return Kind::kLetter;
  if (is_number(c)) return Kind::kNumber;
  return is_white_space(c) ? Kind::kSpace : Kind::kOther;
}

using AsciiKinds = std::array<Kind, 128>;

AsciiKinds ascii_kinds() {
  AsciiKinds kinds;
  for (size_t i = 0; i < kinds.size(); ++i) kinds[i] = kind_of(static_cast<char32_t>(i));
  return kinds;
}

// A text read by the kind of its characters.
class Reader {
 public:
  Reader(std::string_view text, const AsciiKinds& ascii) : text_(text), ascii_(ascii) {}

  std::string_view text() const { return text_; }
  // The kind of the character at `position`; `next` is behind it.
  Kind kind_at(size_t position, size_t& next) const {
    next = position;
    if (position >= text_.size()) return Kind::kEnd;
    if (is_ascii(text_[position])) return ascii_[static_cast<uint8_t>(text_[next++])];
    return kind_of(next_character(text_, next));
  }
  // Behind the characters of `kind` from `position` on.
  size_t skip(size_t position, Kind kind) const {
    for (size_t next = position; kind_at(position, next) == kind; position = next) {
    }
    return position;
  }
  bool at_line_end(size_t position) const {
    return position < text_.size() && (text_[position] == '\n' || text_[position] == '\r');
  }

 private:
  std::string_view text_;
  const AsciiKinds& ascii_;
};

// The length of 's 't 're 've 'm 'll 'd at `position`, or 0.
size_t contraction_length(std::string_view text, size_t position, bool any_case) {
  std::string_view rest = text.substr(position);
  if (rest.size() < 2 || rest[0] != '\'') return 0;
  auto letter = [&](size_t i) -> char {
    if (i >= rest.size()) return 0;
    char c = rest[i];
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  };
  char first = letter(1), second = letter(2);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  if (any_case && rest.substr(1).starts_with("\u017f")) return 3;  // the long s is an s in any case
  bool two =
      (first == 'r' && second == 'e') || (first == 'v' && second == 'e') || (first == 'l' && second == 'l');
  return two ? 3 : 0;
}

// What `\s+(?!\S)|\s+` takes of the white space [position, end): all but the last character where a word
// follows.
size_t space_end(std::string_view text, size_t position, size_t end) {
  if (end == text.size()) return end;
  size_t last = end - 1;
  while (last > position && (static_cast<uint8_t>(text[last]) & 0xc0) == 0x80) --last;
  return last > position ? last : end;
}

// Matches that lie side by side over the whole text; Rule has match_end(reader, begin).
template <class Rule>
class Covering : public Pattern {
 public:
  Status find_all(std::string_view text, std::vector<Match>& matches) const override {
    Reader reader(text, ascii_);
    for (size_t i = 0; i < text.size();) {
      size_t end = static_cast<const Rule*>(this)->match_end(reader, i);
      matches.push_back({i, end});
      i = end;
    }
    return {};
  }

 private:
  AsciiKinds ascii_ = ascii_kinds();
};

class Gpt2Pattern : public Covering<Gpt2Pattern> {
 public:
  static size_t match_end(const Reader& reader, size_t i) {
    if (size_t length = contraction_length(reader.text(), i, false)) return i + length;
    size_t next = i;
    Kind kind = reader.kind_at(i, next);
    if (reader.text()[i] == ' ') {
      size_t behind = next;
      Kind following = reader.kind_at(next, behind);
      if (following != Kind::kSpace && following != Kind::kEnd) return reader.skip(behind, following);
    }
    size_t end = reader.skip(next, kind);
    return kind == Kind::kSpace ? space_end(reader.text(), i, end) : end;
  }
};

// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,digits}|
// ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
class Cl100kPattern : public Covering<Cl100kPattern> {
 public:
  explicit Cl100kPattern(int digits) : digits_(digits) {}

  size_t match_end(const Reader& reader, size_t i) const {
    if (size_t length = contraction_length(reader.text(), i, true)) return i + length;
    size_t next = i;
    Kind kind = reader.kind_at(i, next);
    if (kind == Kind::kLetter) return reader.skip(next, Kind::kLetter);
    if (kind == Kind::kNumber) return numbers_end(reader, next);
    size_t behind = next;
    Kind following = reader.kind_at(next, behind);
    if (following == Kind::kLetter && !reader.at_line_end(i)) return reader.skip(behind, Kind::kLetter);
    if (kind == Kind::kOther) return symbols_end(reader, next);
    if (reader.text()[i] == ' ' && following == Kind::kOther) return symbols_end(reader, behind);
    size_t end = reader.skip(next, Kind::kSpace);
    for (size_t k = end; k > i; --k) {
      if (reader.at_line_end(k - 1)) return k;
    }
    return space_end(reader.text(), i, end);
  }

 private:
  size_t numbers_end(const Reader& reader, size_t position) const {
    for (int digits = 1; digits < digits_; ++digits) {
      size_t next = position;
      if (reader.kind_at(position, next) != Kind::kNumber) break;
      position = next;
    }
    return position;
  }

  static size_t symbols_end(const Reader& reader, size_t position) {
    position = reader.skip(position, Kind::kOther);
    while (reader.at_line_end(position)) ++position;
    return position;
  }

  int digits_;
};

}  // namespace

std::unique_ptr<Pattern> make_known_pattern(std::string_view expression) {
  constexpr std::string_view kBeginning = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|)";
  constexpr std::string_view kEnd = R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  if (expression == kGpt2Expression) return std::make_unique<Gpt2Pattern>();
  if (!expression.starts_with(kBeginning) || !expression.ends_with(kEnd)) return nullptr;
  if (expression.size() < kBeginning.size() + kEnd.size()) return nullptr;
  expression.remove_prefix(kBeginning.size());
  expression.remove_suffix(kEnd.size());
  if (expression == R"(\p{N})") return std::make_unique<Cl100kPattern>(1);
  if (expression == R"(\p{N}{1,3})") return std::make_unique<Cl100kPattern>(3);
  return nullptr;
}

}  // namespace gannet::tokenization
