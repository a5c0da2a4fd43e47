#include "runtime/core/arena.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "ir/base/random.h"

namespace gannet {
namespace {

void expect_disjoint(const std::vector<ArenaItem>& items, const ArenaSize& size) {
  for (size_t i = 0; i < items.size(); ++i) {
    EXPECT_GE(items[i].offset, 0);
    EXPECT_EQ(items[i].offset % kArenaAlignment, 0);
    EXPECT_LE(items[i].offset + items[i].bytes, size.bytes);
    for (size_t j = 0; j < i; ++j) {
      const bool together = items[i].first <= items[j].last && items[j].first <= items[i].last;
      const bool apart = items[i].offset + items[i].bytes <= items[j].offset || items[j].offset + items[j].bytes <= items[i].offset;
      EXPECT_TRUE(!together || apart) << i << " and " << j;
    }
  }
  EXPECT_GE(size.bytes, size.lower_bound);
}

TEST(Arena, AChainAlternatesBetweenTwoPlaces) {
  std::vector<ArenaItem> items;
  for (int32_t i = 0; i < 10; ++i) items.push_back({1000, i, i + 1});
  const ArenaSize size = place_buffers(items);
  expect_disjoint(items, size);
  EXPECT_EQ(size.bytes, 2048);
  EXPECT_EQ(size.lower_bound, 2048);
}

TEST(Arena, NothingTakesNothing) {
  const ArenaSize size = place_buffers({});
  EXPECT_EQ(size.bytes, 0);
  std::vector<ArenaItem> empty = {{0, 0, 1}, {0, 0, 1}};
  EXPECT_EQ(place_buffers(empty).bytes, 0);
}

TEST(Arena, BuffersThatStandAlreadyStay) {
  std::vector<ArenaItem> items = {{100, 0, 5, 256}, {200, 4, 6}, {300, 5, 8}, {64, 6, 7}};
  const ArenaSize size = place_buffers(items);
  EXPECT_EQ(items[0].offset, 256);
  expect_disjoint(items, size);
}

TEST(Arena, RandomBuffersStayApartAndClose) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Random random(seed);
    std::vector<ArenaItem> items;
    for (int i = 0; i < 60; ++i) {
      const auto first = static_cast<int32_t>(random.below(50));
      items.push_back({static_cast<int64_t>(random.below(5000)), first, first + static_cast<int32_t>(random.below(8))});
    }
    const ArenaSize size = place_buffers(items);
    expect_disjoint(items, size);
    EXPECT_LE(static_cast<double>(size.bytes), 1.05 * static_cast<double>(size.lower_bound)) << seed;
  }
}

TEST(Arena, MemoryGrowsAndKeepsItsContents) {
  ArenaMemory memory;
  EXPECT_TRUE(memory.reserve(0));
  EXPECT_TRUE(memory.reserve(100));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(memory.data()) % kArenaAlignment, 0u);
  std::memset(memory.data(), 7, 100);
  EXPECT_TRUE(memory.reserve(100'000));
  EXPECT_EQ(memory.data()[99], std::byte{7});
  const std::byte* before = memory.data();
  EXPECT_TRUE(memory.reserve(50));
  EXPECT_EQ(memory.data(), before);
}

}  // namespace
}  // namespace gannet
