// The hand-written patterns against ICU's regular expressions.
#include <gtest/gtest.h>

#include <random>

#include "runtime/data/tokenizer/pattern.h"
#include "runtime/data/tokenizer/unicode.h"

namespace gannet::tokenization {
namespace {

const std::string kCl100k =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

std::vector<std::string> words(const Pattern& pattern, std::string_view text) {
  std::vector<Match> matches;
  EXPECT_TRUE(pattern.find_all(text, matches).ok());
  std::vector<std::string> result;
  for (const Match& match : matches) result.emplace_back(text.substr(match.begin, match.end - match.begin));
  return result;
}

// Characters that the patterns tell apart, the frequent ones more often.
std::string random_text(std::mt19937& random) {
  static const std::vector<std::string> kParts = {
      "a",          "b",      "s",      "t",      "re", "LL",     "Ve",     "D",      "'",
      "'s",         " ",      " ",      "  ",     "\n", "\r",     "\t",     "\u00a0", "\u3000",
      "1",          "2",      "\u00bd", "\u0663", ".",  ",",      "-",      "\u00e9", "\u4e16",
      "\U0001f600", "\u0301", "\u017f", "\u212a", "_",  "\u200d", "\u0085", "\u2028"};
  std::string text;
  size_t length = random() % 24;
  for (size_t i = 0; i < length; ++i) text += kParts[random() % kParts.size()];
  return text;
}

class KnownPattern : public testing::TestWithParam<std::string> {};

INSTANTIATE_TEST_SUITE_P(All, KnownPattern, testing::Values(std::string(kGpt2Expression), kCl100k, kQwen2));

TEST_P(KnownPattern, MatchesAsTheExpressionDoes) {
  std::unique_ptr<Pattern> known = make_known_pattern(GetParam());
  ASSERT_NE(known, nullptr);
  std::unique_ptr<Pattern> icu = std::move(make_icu_pattern(GetParam()).value());
  std::mt19937 random(7);
  for (int i = 0; i < 20000; ++i) {
    std::string text = random_text(random);
    ASSERT_EQ(words(*known, text), words(*icu, text)) << text;
  }
}

TEST(Pattern, OthersAreIcus) {
  EXPECT_EQ(make_known_pattern(R"(\p{L}+)"), nullptr);
  EXPECT_EQ(words(**make_regex_pattern(R"(\p{L}+)"), "ab 12 \u00e9c"),
            (std::vector<std::string>{"ab", "\u00e9c"}));
  EXPECT_FALSE(make_regex_pattern("[").ok());
}

TEST(Utf8, TheFirstBadByteIsFound) {
  EXPECT_EQ(find_invalid_utf8("plain ASCII text, \u00e9, \u4e16, \U0001f600"), std::nullopt);
  EXPECT_EQ(find_invalid_utf8("0123456789\xff"), 10u);
  EXPECT_EQ(find_invalid_utf8("ab\xc3"), 2u);             // cut off
  EXPECT_EQ(find_invalid_utf8("\xc0\xaf"), 0u);           // overlong
  EXPECT_EQ(find_invalid_utf8("\xe0\x80\xaf"), 0u);       // overlong
  EXPECT_EQ(find_invalid_utf8("\xed\xa0\x80"), 0u);       // a surrogate
  EXPECT_EQ(find_invalid_utf8("a\xf4\x90\x80\x80"), 1u);  // above U+10FFFF
  EXPECT_EQ(find_invalid_utf8("\x80"), 0u);
}

TEST(Graphemes, ClustersEndWhereUnicodeSays) {
  auto first = [](const std::string& text) { return text.substr(0, grapheme_end(text, 0)); };
  EXPECT_EQ(first("ab"), "a");
  EXPECT_EQ(first("\r\nx"), "\r\n");
  EXPECT_EQ(first("e\u0301\u0302x"), "e\u0301\u0302");
  EXPECT_EQ(first("\u1100\u1161\u11a8\u1100"), "\u1100\u1161\u11a8");
  EXPECT_EQ(first("\U0001f1eb\U0001f1f7\U0001f1e9"), "\U0001f1eb\U0001f1f7");
  EXPECT_EQ(first("\U0001f469\u200d\U0001f469x"), "\U0001f469\u200d\U0001f469");
  EXPECT_EQ(first("a\u200d\U0001f469"), "a\u200d");
}

}  // namespace
}  // namespace gannet::tokenization
