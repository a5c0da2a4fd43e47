#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/data/tokenizer/tokenizer.h"
#include "tests/support/temporary_folder.h"

namespace gannet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kVocabulary =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\nworld\n##ly\n,\nun\n##aff\n##able\n世\n界\ncafe\n";

class VocabFile : public testing::Test {
 protected:
  Result<Tokenizer> read(const std::string& text, const WordPieceOptions& options = {}) {
    return Tokenizer::from_vocab_file(folder_.write("vocab.txt", text), options);
  }

  std::string error(const std::string& text) {
    Result<Tokenizer> tokenizer = read(text);
    return tokenizer.ok() ? "" : tokenizer.error().message;
  }

  TemporaryFolder folder_;
};

TEST_F(VocabFile, WordsBecomeTheirLongestPieces) {
  Tokenizer tokenizer = read(kVocabulary).value();
  EXPECT_THAT(tokenizer.encode("Hello,  unaffable WORLD").value().ids, ElementsAre(2, 5, 8, 9, 10, 11, 6, 3));
  EXPECT_THAT(tokenizer.encode("helloly hellox").value().ids, ElementsAre(2, 5, 7, 1, 3));
}

TEST_F(VocabFile, AccentsAndControlCharactersGoAndIdeographsStandAlone) {
  Tokenizer tokenizer = read(kVocabulary).value();
  EXPECT_THAT(tokenizer.encode("Caf\u00e9 cafe\u0301 wor\u200bld\u0007").value().ids,
              ElementsAre(2, 14, 14, 6, 3));
  EXPECT_THAT(tokenizer.encode("\u4e16\u754chello").value().ids, ElementsAre(2, 12, 13, 5, 3));
}

TEST_F(VocabFile, UpperCaseAmongTheTokensMakesItCased) {
  std::string cased = std::string(kVocabulary) + "Hello\n";
  EXPECT_THAT(read(cased).value().encode("Hello hello WORLD").value().ids, ElementsAre(2, 15, 5, 1, 3));
  WordPieceOptions lower;
  lower.lower_case = true;
  EXPECT_THAT(read(cased, lower).value().encode("Hello hello WORLD").value().ids, ElementsAre(2, 5, 5, 6, 3));
}

TEST_F(VocabFile, PairsHaveTypes) {
  Encoding pair = read(kVocabulary).value().encode_pair("hello", "world", {}).value();
  EXPECT_THAT(pair.ids, ElementsAre(2, 5, 3, 6, 3));
  EXPECT_THAT(pair.type_ids, ElementsAre(0, 0, 0, 1, 1));
  EXPECT_THAT(pair.special_mask, ElementsAre(1, 0, 1, 0, 1));
}

// The odd place goes to the longer text, however long both are.
TEST_F(VocabFile, LongPairsAreCutAsShortOnes) {
  std::string longer, shorter;
  for (int i = 0; i < 40; ++i) longer += "hello ";
  for (int i = 0; i < 25; ++i) shorter += "world ";
  EncodeOptions options;
  options.max_length = 16;
  const Tokenizer tokenizer = read(kVocabulary).value();
  const auto firsts = [&](const std::string& a, const std::string& b) {
    const std::vector<int32_t> ids = tokenizer.encode_pair(a, b, options).value().ids;
    EXPECT_EQ(ids.size(), 16U);
    return std::ranges::find(ids, 3) - ids.begin() - 1;
  };
  EXPECT_EQ(firsts(longer, shorter), 7);
  EXPECT_EQ(firsts(shorter, longer), 6);
}

TEST_F(VocabFile, BrokenFilesAreSaidToBe) {
  EXPECT_THAT(error(""), HasSubstr("vocab.txt: holds no tokens"));
  EXPECT_THAT(error("[UNK]\na\nb\na\n"), HasSubstr("lines 2 and 4 are the same token 'a'"));
  EXPECT_THAT(error("a\n[CLS]\n[SEP]\n"), HasSubstr("has no token [UNK] among its 3"));
  EXPECT_THAT(error("[UNK]\n\xff\n"), HasSubstr("line 2: byte 0 is not UTF-8"));
}

TEST_F(VocabFile, BadTextIsSaidToBe) {
  Tokenizer tokenizer = read(kVocabulary).value();
  EXPECT_THAT(tokenizer.encode("hello \xc3(").error().message, HasSubstr("byte 6 is not UTF-8"));
  std::vector<std::string_view> texts = {"hello", "wor\xff", "\xff"};
  EXPECT_THAT(tokenizer.encode_all(texts, {}, Threads(2)).error().message,
              HasSubstr("text 1: byte 3 is not UTF-8"));
}

}  // namespace
}  // namespace gannet
