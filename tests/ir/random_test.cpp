#include "ir/base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <vector>

namespace gannet {
namespace {

// The known answers that the authors of Philox publish with it.
TEST(Random, PhiloxKnownAnswers) {
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}),
            (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (std::array<uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Random, SeedAndStreamDecideEverything) {
  Random a(1, 2), b(1, 2), other_seed(2, 2), other_stream(1, 3);
  for (int i = 0; i < 100; ++i) {
    uint64_t number = a.next_u64();
    EXPECT_EQ(number, b.next_u64());
    EXPECT_NE(number, other_seed.next_u64());
    EXPECT_NE(number, other_stream.next_u64());
  }
}

TEST(Random, NormalsAgreeWithTheLibrary) {
  Random random(7), bits(7);
  for (int i = 0; i < 100000; ++i) {
    double radius = std::sqrt(-2.0 * std::log((static_cast<double>(bits.next_u64() >> 11) + 1) * 0x1p-53));
    double angle = 2 * M_PI * (static_cast<double>(bits.next_u64() >> 11) * 0x1p-53);
    EXPECT_NEAR(random.normal(), radius * std::cos(angle), 1e-13);
    EXPECT_NEAR(random.normal(), radius * std::sin(angle), 1e-13);
  }
}

TEST(Random, MomentsOfNormalAndUniform) {
  std::vector<float> values(1 << 20);
  Random(3).fill_normal(values, 1.0, 2.0);
  double sum = 0, squares = 0, fourth = 0;
  for (float value : values) {
    double x = (value - 1.0) / 2.0;
    sum += x, squares += x * x, fourth += x * x * x * x;
  }
  double n = static_cast<double>(values.size());
  EXPECT_NEAR(sum / n, 0.0, 0.005);
  EXPECT_NEAR(squares / n, 1.0, 0.01);
  EXPECT_NEAR(fourth / n, 3.0, 0.05);

  Random(3).fill_uniform(values, -2.0, 2.0);
  sum = 0;
  for (float value : values) {
    ASSERT_GE(value, -2.0f);
    ASSERT_LT(value, 2.0f);
    sum += value;
  }
  EXPECT_NEAR(sum / n, 0.0, 0.01);
}

TEST(Random, FillingIsDrawingOneByOne) {
  for (int before : {0, 1, 2, 3}) {
    Random filled(9), drawn(9);
    for (int i = 0; i < before; ++i) EXPECT_EQ(filled.next_u32(), drawn.next_u32());
    for (size_t size : {5u, 4u, 1u, 6u}) {
      std::vector<float> values(size);
      filled.fill_normal(values, 0.0, 1.0);
      for (float value : values) EXPECT_EQ(value, static_cast<float>(drawn.normal()));
    }
  }
}

// One number for a million normals, which every compiler and machine must reach.
TEST(Random, NormalsAreTheSameEverywhere) {
  std::vector<float> values(1 << 20);
  Random(11).fill_normal(values, 0.0, 1.0);
  uint64_t hash = 14695981039346656037u;  // FNV-1a over words
  for (float value : values) hash = (hash ^ std::bit_cast<uint32_t>(value)) * 1099511628211u;
  EXPECT_EQ(hash, 0xc7b6cf0c37b10285u);
}

TEST(Random, BelowIsEvenAndInRange) {
  Random random(5);
  std::vector<int> counts(7);
  for (int i = 0; i < 70000; ++i) ++counts[random.below(7)];
  for (int count : counts) EXPECT_NEAR(count, 10000, 500);
  EXPECT_EQ(random.below(1), 0u);
}

TEST(Random, ShuffleKeepsTheElements) {
  std::vector<int> values(100);
  std::iota(values.begin(), values.end(), 0);
  std::vector<int> shuffled = values;
  Random(1).shuffle(std::span<int>(shuffled));
  EXPECT_NE(values, shuffled);
  std::sort(shuffled.begin(), shuffled.end());
  EXPECT_EQ(values, shuffled);
}

}  // namespace
}  // namespace gannet
