#include "runtime/training/gan_balance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gannet {
namespace {

using testing::HasSubstr;

// The rounds after which something was said, of `rounds` with these accuracies.
std::vector<int64_t> warned(GanBalance& balance, int64_t rounds, double real, double fake,
                            std::string* text = nullptr) {
  std::vector<int64_t> said;
  for (int64_t round = 1; round <= rounds; ++round) {
    const auto warning = balance.follow({{"real_accuracy", real}, {"fake_accuracy", fake}});
    if (!warning) continue;
    said.push_back(round);
    if (text) *text = *warning;
  }
  return said;
}

// Rows of two pixels that differ by `step` from one to the next.
Tensor pictures(float step) {
  Tensor tensor = Tensor::zeros(DType::kF32, {4, 2});
  for (size_t i = 0; i < 8; ++i) tensor.mutable_data<float>()[i] = step * static_cast<float>(i / 2);
  return tensor;
}

TEST(GanBalance, SaysOnceThatOneSideHasWonForAGoodWhile) {
  GanBalance balance;
  std::string text;
  EXPECT_EQ(warned(balance, 3000, 1, 1, &text), std::vector<int64_t>{500});
  EXPECT_THAT(text, HasSubstr("told 100.0 % of the pictures apart for 300 rounds"));
  EXPECT_TRUE(warned(balance, 500, 0.8, 0.7).empty());
  EXPECT_EQ(warned(balance, 3000, 1, 1).size(), 1u);
}

TEST(GanBalance, SaysThatTheDiscriminatorGuesses) {
  GanBalance balance;
  std::string text;
  EXPECT_EQ(warned(balance, 2000, 1, 0, &text), std::vector<int64_t>{500});
  EXPECT_THAT(text, HasSubstr("as good as guessing"));
}

TEST(GanBalance, TinyRunsAreNotJudged) {
  GanBalance balance;
  EXPECT_TRUE(warned(balance, 499, 1, 1).empty());
  EXPECT_FALSE(balance.follow_samples(pictures(0), 1));
  GanBalance at_first;
  EXPECT_TRUE(warned(at_first, 200, 1, 1).empty());
  EXPECT_TRUE(warned(at_first, 800, 0.8, 0.9).empty());
  EXPECT_FALSE(GanBalance().follow_samples(pictures(0), 1));
}

TEST(GanBalance, SaysOnceThatSamplesAreTheSame) {
  GanBalance balance;
  warned(balance, 600, 0.8, 0.8);
  EXPECT_FALSE(balance.follow_samples(pictures(1), 1));
  const auto warning = balance.follow_samples(pictures(0.01f), 1);
  ASSERT_TRUE(warning);
  EXPECT_THAT(*warning, HasSubstr("the generator has collapsed"));
  EXPECT_FALSE(balance.follow_samples(pictures(0.01f), 1));
  EXPECT_FALSE(balance.follow_samples(pictures(1), 1));
  EXPECT_TRUE(balance.follow_samples(pictures(0.01f), 1));
}

// One that goes on from any state warns where the whole one does.
TEST(GanBalance, ItsStateIsAllThatItKnows) {
  for (const int64_t stop : {1, 150, 350, 499, 500, 700}) {
    GanBalance whole, before, after;
    const std::vector<int64_t> expected = warned(whole, 1500, 1, 0.99);
    std::vector<int64_t> said = warned(before, stop, 1, 0.99);
    after.restore(before.state());
    for (const int64_t round : warned(after, 1500 - stop, 1, 0.99)) said.push_back(stop + round);
    EXPECT_EQ(said, expected) << stop;
    EXPECT_EQ(after.state(), whole.state()) << stop;
  }
  GanBalance first, second;
  warned(first, 600, 0.8, 0.8);
  EXPECT_TRUE(first.follow_samples(pictures(0), 1));
  second.restore(first.state());
  EXPECT_FALSE(second.follow_samples(pictures(0), 1));
  second.restore({});
  EXPECT_EQ(second.state(), GanBalance().state());
  second.restore({{"rounds", 1e300}, {"rounds_won", -5}});
  EXPECT_FALSE(second.follow({{"real_accuracy", 0.7}, {"fake_accuracy", 0.7}}));
}

}  // namespace
}  // namespace gannet
