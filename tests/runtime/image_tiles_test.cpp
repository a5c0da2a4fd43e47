#include "runtime/data/image_tiles.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gannet {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::FloatNear;

TEST(ImageTiles, CoverEveryPixelWithEnoughInCommon) {
  EXPECT_THAT(tile_starts(5, 8, 2), ElementsAre(0));
  EXPECT_THAT(tile_starts(8, 8, 2), ElementsAre(0));
  EXPECT_THAT(tile_starts(9, 8, 0), ElementsAre(0, 1));
  EXPECT_THAT(tile_starts(20, 8, 2), ElementsAre(0, 6, 12));
  for (int64_t length = 1; length < 60; ++length) {
    for (int64_t overlap = 0; overlap < 8; ++overlap) {
      const std::vector<int64_t> starts = tile_starts(length, 8, overlap);
      EXPECT_EQ(starts.front(), 0);
      EXPECT_GE(starts.back() + 8, length);
      for (size_t i = 1; i < starts.size(); ++i) EXPECT_GE(starts[i - 1] + 8 - starts[i], overlap);
    }
  }
}

TEST(ImageTiles, MirrorBeyondTheEdge) {
  const Image row{1, 3, 1, {1, 2, 3}};
  EXPECT_THAT(mirrored_cut(row, 0, -2, 1, 8).pixels, ElementsAre(3, 2, 1, 2, 3, 2, 1, 2));
  EXPECT_THAT(mirrored_cut(row, 0, 1, 2, 1).pixels, ElementsAre(2, 2));
}

// A step between two tiles becomes a slope over what they have in common.
TEST(ImageTiles, BlendInAStraightLine) {
  TileCanvas canvas(1, 1, 7);
  canvas.add(std::vector<float>(5, 0.0f), {0, 0, 1, 5, 0, 0, 0, 3});
  canvas.add(std::vector<float>(5, 4.0f), {0, 2, 1, 5, 0, 0, 3, 0});
  EXPECT_THAT(std::move(canvas).finish(), ElementsAre(0, 0, 1, 2, 3, 4, 4));
  TileCanvas even(2, 3, 3);
  even.add(std::vector<float>(8, 2.0f), {0, 0, 2, 2, 0, 1, 0, 1});
  even.add(std::vector<float>(8, 2.0f), {0, 1, 2, 2, 0, 1, 1, 0});
  even.add(std::vector<float>(8, 2.0f), {1, 0, 2, 2, 1, 0, 0, 1});
  even.add(std::vector<float>(8, 2.0f), {1, 1, 2, 2, 1, 0, 1, 0});
  EXPECT_THAT(std::move(even).finish(), Each(FloatNear(2, 1e-6f)));
}

}  // namespace
}  // namespace gannet
