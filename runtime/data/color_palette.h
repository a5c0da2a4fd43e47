// At most 256 colours that stand for all colours of some pictures.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/data/image.h"

namespace gannet {

using Rgb = std::array<uint8_t, 3>;

struct ColorPalette {
  std::vector<Rgb> colors;  // 1 to 256
  bool exact = false;       // every colour of the pictures is among them
};

// The colours of the pictures where there are no more than 256, in the order of their numbers. Else the cells
// that are left when the one with the largest squared error is cut in two again and again, where that lowers
// its error most (X. Wu, "Color quantization by dynamic programming and principal analysis", 1992, of cells
// along the axes), moved by three rounds of k-means. `images` hold at least one pixel. Deterministic.
ColorPalette choose_palette(std::span<const Image> images);

// Which colour of the palette each pixel becomes. Where the palette is not exact the error of a pixel is
// passed on to its neighbours (R. Floyd and L. Steinberg, "An adaptive algorithm for spatial greyscale",
// 1976).
std::vector<uint8_t> palette_indices(const Image& image, const ColorPalette& palette);

}  // namespace gannet
