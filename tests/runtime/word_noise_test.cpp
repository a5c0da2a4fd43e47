#include "runtime/data/augment/word_noise.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gannet {
namespace {

using testing::HasSubstr;

TEST(WordNoise, ReadsALine) {
  const Result<WordNoise> noise = WordNoise::parse("mask=0.25,delete=0.5");
  ASSERT_TRUE(noise.ok());
  EXPECT_EQ(noise->text(), "delete=0.5,swap=0,mask=0.25");
  EXPECT_TRUE(WordNoise::parse("none")->empty());
  EXPECT_TRUE(WordNoise::parse("")->empty());
  for (const char* wrong : {"drop=0.1", "swap", "swap=", "swap=1", "swap=x", "swap=-0.1", "delete=0.1,,"})
    EXPECT_THAT(WordNoise::parse(wrong).error().message, HasSubstr("is none of delete=CHANCE")) << wrong;
}

TEST(WordNoise, ChangesWordsAsOftenAsItSays) {
  std::string text;
  for (int i = 0; i < 2000; ++i) text += "w" + std::to_string(i) + (i % 3 ? " " : " \t");
  Random random(1);
  const std::string masked = WordNoise{.masked = 0.3}.apply(text, "[MASK]", random);
  int masks = 0;
  for (size_t at = masked.find("[MASK]"); at != std::string::npos; at = masked.find("[MASK]", at + 1))
    ++masks;
  EXPECT_NEAR(masks, 600, 80);
  const std::string shorter = WordNoise{.deleted = 0.3}.apply(text, "", random);
  EXPECT_NEAR(static_cast<double>(std::ranges::count(shorter, ' ')), 1400, 80);
  const std::string swapped = WordNoise{.swapped = 0.3}.apply("a b", "", random);
  EXPECT_TRUE(swapped == "a b" || swapped == "b a");
  Random one(5), two(5);
  const WordNoise all{0.2, 0.2, 0.2};
  EXPECT_EQ(all.apply(text, "?", one), all.apply(text, "?", two));
}

TEST(WordNoise, AWordIsLeft) {
  const WordNoise most{.deleted = 0.99, .masked = 0.99};
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Random random(seed);
    const std::string text = most.apply("good film", "?", random);
    EXPECT_TRUE(text.find("good") != std::string::npos || text.find("film") != std::string::npos) << text;
    EXPECT_EQ(most.apply(" \t ", "?", random), "");
  }
}

}  // namespace
}  // namespace gannet
