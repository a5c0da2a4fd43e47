// A large picture in parts of one size that overlap, and the results of the parts blended into one.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/data/image.h"

namespace gannet {

// Where tiles of length `tile` begin that cover [0, length) and overlap by at least `overlap` < tile: spread
// evenly, one where the length is not more than a tile.
std::vector<int64_t> tile_starts(int64_t length, int64_t tile, int64_t overlap);

// `height` x `width` pixels of `image` from (top, left) on; beyond its edges the picture mirrored.
Image mirrored_cut(const Image& image, int64_t top, int64_t left, int64_t height, int64_t width);

// Planes of numbers, to which tiles are added. Where two overlap, the weight of each falls in a straight line
// towards its edge, so that no seam shows.
class TileCanvas {
 public:
  TileCanvas(int64_t channels, int64_t height, int64_t width);

  struct Place {
    int64_t top = 0, left = 0, height = 0, width = 0;  // of the tile; it may reach beyond the canvas
    // How far the weight takes to rise from each edge; 0 at edges of the picture.
    int64_t above = 0, below = 0, before = 0, behind = 0;
  };
  // `values`: planes of the tile.
  void add(std::span<const float> values, const Place& place);
  // The planes; every pixel has been covered.
  std::vector<float> finish() &&;

 private:
  int64_t channels_ = 0, height_ = 0, width_ = 0;
  std::vector<float> sums_, weights_;
};

}  // namespace gannet
