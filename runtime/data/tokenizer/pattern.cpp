#include "runtime/data/tokenizer/pattern.h"

#include <fmt/format.h>
#include <unicode/regex.h>
#include <unicode/utext.h>

#include "runtime/data/tokenizer/unicode.h"

namespace gannet::tokenization {
namespace {

class LiteralPattern : public Pattern {
 public:
  explicit LiteralPattern(std::string literal) : literal_(std::move(literal)) {}

  Status find_all(std::string_view text, std::vector<Match>& matches) const override {
    if (literal_.empty()) return {};
    for (size_t i = text.find(literal_); i != std::string_view::npos;
         i = text.find(literal_, i + literal_.size())) {
      matches.push_back({i, i + literal_.size()});
    }
    return {};
  }

 private:
  std::string literal_;
};

// Text for ICU, which reads UTF-8 where it stands.
class IcuText {
 public:
  explicit IcuText(std::string_view text) {
    UErrorCode status = U_ZERO_ERROR;
    utext_openUTF8(&text_, text.data(), static_cast<int64_t>(text.size()), &status);
    CHECK(U_SUCCESS(status), "ICU does not take a text: {}", u_errorName(status));
  }
  ~IcuText() { utext_close(&text_); }
  IcuText(const IcuText&) = delete;
  IcuText& operator=(const IcuText&) = delete;
  UText* get() { return &text_; }

 private:
  UText text_ = UTEXT_INITIALIZER;
};

class IcuPattern : public Pattern {
 public:
  IcuPattern(std::unique_ptr<icu::RegexPattern> pattern, std::string expression)
      : pattern_(std::move(pattern)), expression_(std::move(expression)) {}

  Status find_all(std::string_view text, std::vector<Match>& matches) const override {
    UErrorCode status = U_ZERO_ERROR;
    std::unique_ptr<icu::RegexMatcher> matcher(pattern_->matcher(status));
    if (U_FAILURE(status)) return failure(status);
    matcher->setTimeLimit(kTimeLimit, status);
    IcuText icu_text(text);
    matcher->reset(icu_text.get());
    size_t last_end = std::string_view::npos;
    while (matcher->find(status)) {
      Match match{static_cast<size_t>(matcher->start64(status)), static_cast<size_t>(matcher->end64(status))};
      if (U_FAILURE(status)) break;
      // Oniguruma, which Hugging Face uses, reports no empty match where the one before has ended.
      if (match.begin == match.end && match.begin == last_end) continue;
      last_end = match.end;
      matches.push_back(match);
    }
    return U_FAILURE(status) ? failure(status) : Status();
  }

 private:
  static constexpr int32_t kTimeLimit = 10'000;  // about milliseconds

  Status failure(UErrorCode status) const {
    return invalid_input(
        fmt::format("the expression '{}' cannot be matched: {}", expression_, u_errorName(status)));
  }

  std::unique_ptr<icu::RegexPattern> pattern_;
  std::string expression_;
};

// Oniguruma's \w holds superscripts and fractions of Latin-1 but no joiners; its \h is a hexadecimal digit.
std::string_view class_of(char letter) {
  if (letter == 'w') return R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u00b2\u00b3\u00b9\u00bc-\u00be])";
  if (letter == 'W') return R"([^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u00b2\u00b3\u00b9\u00bc-\u00be])";
  if (letter == 'h') return "[0-9a-fA-F]";
  if (letter == 'H') return "[^0-9a-fA-F]";
  return {};
}

// The expression as ICU understands it: classes that mean something else there are spelled out, which sets
// may hold too.
std::string translated(std::string_view expression) {
  std::string result;
  for (size_t i = 0; i < expression.size(); ++i) {
    if (expression[i] != '\\' || i + 1 == expression.size()) {
      result.push_back(expression[i]);
      continue;
    }
    std::string_view spelled = class_of(expression[++i]);
    if (spelled.empty()) {
      result.push_back('\\');
      result.push_back(expression[i]);
    } else {
      result += spelled;
    }
  }
  return result;
}

}  // namespace

std::unique_ptr<Pattern> make_literal_pattern(std::string literal) {
  return std::make_unique<LiteralPattern>(std::move(literal));
}

Result<std::unique_ptr<Pattern>> make_icu_pattern(const std::string& expression) {
  UErrorCode status = U_ZERO_ERROR;
  UParseError place;
  std::string icu_expression = translated(expression);
  icu::UnicodeString text = icu::UnicodeString::fromUTF8(icu_expression);
  // Oniguruma's ^ and $ stand at every line, and lines end with \n alone.
  std::unique_ptr<icu::RegexPattern> pattern(
      icu::RegexPattern::compile(text, UREGEX_MULTILINE | UREGEX_UNIX_LINES, place, status));
  if (U_FAILURE(status)) {
    return unsupported(fmt::format("the expression '{}' is not understood: {} at character {} of '{}'",
                                   expression, u_errorName(status), place.offset, icu_expression));
  }
  return std::unique_ptr<Pattern>(std::make_unique<IcuPattern>(std::move(pattern), expression));
}

Result<std::unique_ptr<Pattern>> make_regex_pattern(const std::string& expression) {
  if (std::unique_ptr<Pattern> known = make_known_pattern(expression)) return known;
  return make_icu_pattern(expression);
}

}  // namespace gannet::tokenization
