#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "ir/base/file.h"
#include "runtime/data/tokenizer/tokenizer.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tests_folder.h"

namespace gannet {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

class TokenizerJson : public testing::Test {
 protected:
  Result<Tokenizer> read(const json& file) {
    return Tokenizer::from_file(folder_.write("tokenizer.json", file.dump()));
  }
  Result<Tokenizer> read_text(const std::string& text) {
    return Tokenizer::from_json(text, "tokenizer.json");
  }
  std::string error(const json& file) {
    Result<Tokenizer> tokenizer = read(file);
    return tokenizer.ok() ? "" : tokenizer.error().message;
  }

  TemporaryFolder folder_;
};

Encoding encode(const Tokenizer& tokenizer, const json& text) {
  if (text.is_string()) return tokenizer.encode(text.get<std::string>()).value();
  return tokenizer.encode_pair(text[0].get<std::string>(), text[1].get<std::string>(), tokenizer.defaults())
      .value();
}

TEST_F(TokenizerJson, IdsAreThoseThatHuggingFaceGives) {
  json recorded =
      json::parse(read_file(test::tests_folder() + "/runtime/tokenizers.json", 1 << 24).value());
  ASSERT_GE(recorded["cases"].size(), 90u);
  for (const json& recorded_case : recorded["cases"]) {
    json file = recorded_case["parts"];
    file.emplace("post_processor", nullptr);
    file.emplace("pre_tokenizer", nullptr);
    file["model"] = recorded["models"][recorded_case["model"].get<std::string>()];
    Result<Tokenizer> tokenizer = read(file);
    ASSERT_TRUE(tokenizer.ok()) << recorded_case["parts"] << " " << tokenizer.error().message;
    for (const json& encoding : recorded_case["encodings"]) {
      Encoding ours = encode(*tokenizer, encoding[0]);
      EXPECT_EQ(json(ours.ids), encoding[1])
          << recorded_case["model"] << recorded_case["parts"] << " of " << encoding[0];
      json types = encoding[2].is_null() ? json(std::vector<int>(ours.ids.size(), 0)) : encoding[2];
      EXPECT_EQ(json(ours.type_ids), types) << recorded_case["parts"] << " of " << encoding[0];
    }
  }
}

json word_level() {
  return {{"model",
           {{"type", "WordLevel"}, {"unk_token", "[UNK]"}, {"vocab", {{"[UNK]", 0}, {"a", 1}, {"b", 2}}}}},
          {"pre_tokenizer", {{"type", "WhitespaceSplit"}}}};
}

TEST_F(TokenizerJson, TheFileSaysHowToCutAndPad) {
  json file = word_level();
  file["truncation"] = {
      {"max_length", 3}, {"strategy", "LongestFirst"}, {"direction", "Left"}, {"stride", 0}};
  file["padding"] = {{"strategy", {{"Fixed", 4}}}, {"direction", "Left"},     {"pad_id", 2},
                     {"pad_type_id", 1},           {"pad_to_multiple_of", 3}, {"pad_token", "b"}};
  Tokenizer tokenizer = read(file).value();
  std::vector<Encoding> encodings = {tokenizer.encode("a b b a").value(), tokenizer.encode("a").value()};
  EXPECT_THAT(encodings[0].ids, ElementsAre(2, 2, 1));
  pad(encodings, tokenizer.padding());
  EXPECT_THAT(encodings[0].ids, ElementsAre(2, 2, 2, 2, 2, 1));
  EXPECT_THAT(encodings[1].ids, ElementsAre(2, 2, 2, 2, 2, 1));
  EXPECT_THAT(encodings[1].attention_mask, ElementsAre(0, 0, 0, 0, 0, 1));
  EXPECT_THAT(encodings[1].type_ids, ElementsAre(1, 1, 1, 1, 1, 0));
  EXPECT_EQ(tokenizer.pad_id(), 2);
}

TEST_F(TokenizerJson, AddedTokensExtendTheVocabulary) {
  json file = word_level();
  file["added_tokens"] = {{{"id", 3}, {"content", "<mask>"}, {"special", true}},
                          {{"id", 1}, {"content", "a"}}};
  Tokenizer tokenizer = read(file).value();
  EXPECT_EQ(tokenizer.vocabulary_size(), 4);
  EXPECT_EQ(tokenizer.token_of(3), "<mask>");
  EXPECT_EQ(tokenizer.token_of(4), "");
  EXPECT_EQ(tokenizer.id_of("b"), 2);
  EXPECT_EQ(tokenizer.id_of("c"), std::nullopt);
  EXPECT_THAT(tokenizer.encode("b<mask>b").value().ids, ElementsAre(2, 3, 2));
}

TEST_F(TokenizerJson, IdsOfSpecialTokensAndPaddingCountForTheSize) {
  json file = word_level();
  const int64_t size = read(file)->vocabulary_size();
  file["post_processor"] = {{"type", "BertProcessing"}, {"sep", {"[SEP]", size + 5}}, {"cls", {"[CLS]", 0}}};
  EXPECT_EQ(read(file)->vocabulary_size(), size + 6);
  file["padding"] = {{"strategy", "BatchLongest"},
                     {"direction", "Right"},
                     {"pad_id", size + 8},
                     {"pad_type_id", 0},
                     {"pad_token", "[PAD]"}};
  EXPECT_EQ(read(file)->vocabulary_size(), size + 9);
}

TEST_F(TokenizerJson, ManyTextsOnManyThreadsAreEncodedAsOneByOne) {
  Tokenizer tokenizer = read(word_level()).value();
  std::vector<std::string> texts;
  for (int i = 0; i < 20000; ++i)
    texts.push_back(std::string(static_cast<size_t>(i % 40), 'x') + (i % 3 ? " a b" : " b"));
  std::vector<std::string_view> views(texts.begin(), texts.end());
  std::vector<Encoding> all = tokenizer.encode_all(views, {}, Threads(4)).value();
  std::vector<Encoding> pairs = tokenizer.encode_pairs(views, views, {}, Threads(4)).value();
  for (size_t i = 0; i < texts.size(); ++i) {
    ASSERT_EQ(all[i].ids, tokenizer.encode(texts[i]).value().ids) << texts[i];
    ASSERT_EQ(pairs[i].ids.size(), 2 * all[i].ids.size());
  }
}

TEST_F(TokenizerJson, MalformedFilesAreSaidToBe) {
  EXPECT_THAT(read_text("{\"model\": ").error().message, HasSubstr("tokenizer.json: is not JSON"));
  EXPECT_THAT(read_text("[]").error().message, HasSubstr("is array, not an object"));
  EXPECT_THAT(read_text("{}").error().message, HasSubstr("'model' is absent"));
  json file = word_level();
  file["version"] = "2.0";
  EXPECT_THAT(error(file), HasSubstr("version '2.0'"));
  file = word_level();
  file["model"]["vocab"] = {{"a", 1}, {"b", 1}};
  EXPECT_THAT(error(file), HasSubstr("model: tokens 'a' and 'b' have the same id 1"));
  file["model"]["vocab"] = {{"a", -1}};
  EXPECT_THAT(error(file), HasSubstr("token 'a' has id -1"));
  file["model"]["vocab"] = {{"a", "1"}};
  EXPECT_THAT(error(file), HasSubstr("token 'a' has id \"1\""));
  file["model"] = {{"type", "BPE"}, {"vocab", {{"a", 0}, {"b", 1}}}, {"merges", {"a b"}}};
  EXPECT_THAT(error(file), HasSubstr("merge 0 ('a', 'b'): 'ab' is not in the vocabulary"));
  file["model"] = {{"type", "Unigram"}, {"vocab", json::array({json::array({"a", 0.5})})}, {"unk_id", 1}};
  EXPECT_THAT(error(file), HasSubstr("unk_id 1 is not one of the 1 tokens"));
}

TEST_F(TokenizerJson, PartsThatAreNotKnownAreNamed) {
  json file = word_level();
  file["model"]["type"] = "Charon";
  EXPECT_THAT(error(file), HasSubstr("model: model 'Charon' is not known"));
  file = word_level();
  file["normalizer"] = {{"type", "Sequence"}, {"normalizers", {{{"type", "NFC"}}, {{"type", "Rot13"}}}}};
  EXPECT_THAT(error(file), HasSubstr("normalizer.normalizers[1]: normalizer 'Rot13' is not known"));
  file = word_level();
  file["pre_tokenizer"] = {
      {"type", "Split"}, {"pattern", {{"Regex", "(a"}}}, {"behavior", "Isolated"}, {"invert", false}};
  EXPECT_THAT(error(file), HasSubstr("pre_tokenizer.pattern: the expression '(a' is not understood"));
  file = word_level();
  file["post_processor"] = {{"type", "TemplateProcessing"},
                            {"single", {{{"SpecialToken", {{"id", "x"}, {"type_id", 0}}}}}},
                            {"pair", json::array()}};
  EXPECT_THAT(error(file),
              HasSubstr("post_processor.single[0].SpecialToken: 'x' is not among the special tokens"));
}

// Both ways to split have the same sum of scores but for rounding.
TEST_F(TokenizerJson, ScoresAreRoundedAsHuggingFaceRoundsThem) {
  json vocab = json::parse(R"([["<unk>", 0.0], ["b", -7.11943574762965], ["*", -9.451523685761487],
                               ["***", -10.892127140640259]])");
  json file;
  file["model"] = {{"type", "Unigram"}, {"unk_id", 0}, {"vocab", vocab}};
  Tokenizer tokenizer = read(file).value();
  EXPECT_THAT(tokenizer.encode("b****").value().ids, ElementsAre(1, 2, 3));
}

// Bytes of small files changed at random: each ends in a message or in a tokenizer that encodes.
TEST_F(TokenizerJson, DamageNeverDoesMoreThanFail) {
  json recorded =
      json::parse(read_file(test::tests_folder() + "/runtime/tokenizers.json", 1 << 24).value());
  std::mt19937 random(11);
  int accepted = 0;
  for (const json& recorded_case : recorded["cases"]) {
    json file = recorded_case["parts"];
    file["model"] = word_level()["model"];
    std::string intact = file.dump();
    for (int i = 0; i < 20; ++i) {
      std::string damaged = intact;
      for (int k = 0; k < 2; ++k) damaged[random() % damaged.size()] = "0\"{}[],:aN\x7f"[random() % 11];
      Result<Tokenizer> tokenizer = Tokenizer::from_json(damaged, "damaged");
      if (!tokenizer.ok()) continue;
      ++accepted;
      for (const json& encoding : recorded_case["encodings"]) {
        if (encoding[0].is_string())
          static_cast<void>(tokenizer->encode(encoding[0].get<std::string>()).ok());
      }
    }
  }
  EXPECT_GT(accepted, 20);
}

TEST_F(TokenizerJson, AWordThatCannotBeExpressedIsSaid) {
  json file = word_level();
  file["model"]["unk_token"] = "<unk>";
  EXPECT_THAT(read(file).value().encode("a c").error().message,
              HasSubstr("the word 'c' is not in the vocabulary, and neither is <unk>"));
}

}  // namespace
}  // namespace gannet
