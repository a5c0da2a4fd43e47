// Convolutions of 3x3 windows by Winograd's minimal filtering, F(2x2, 3x3) and F(4x4, 3x3), for one instruction set at a time: A.
// Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks" (2016), by Cook's and Toom's method for other points than theirs.
//
// A tile of m x m results reads t x t pixels, t = m + 2. Each of the t * t positions of a transformed tile is a product over
// channels of its own. Transformed tiles stand in groups of `rows`: [position][group][block of kLanes channels][row][lane]; weights in
// panels of two vectors of output channels: [panel][position][channel][2 * kLanes]; products as [position][tile][2 * kLanes].
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ir/epilogue.h"

namespace gannet {

// An address of f32, or of bf16: numbers of bf16 become f32 when they are read, and are rounded when they are written.
template <class Byte>
struct Numbers {
  Byte* first = nullptr;
  bool is_bf16 = false;

  Numbers at(int64_t index) const { return {first + index * (is_bf16 ? 2 : 4), is_bf16}; }
};
using NumbersRead = Numbers<const std::byte>;
using NumbersWritten = Numbers<std::byte>;

// A step of the epilogue at a tile: z is its operand at the tile's first pixel and the panel's first channel.
struct TileStep {
  EpilogueKind kind = EpilogueKind::kRelu;
  float alpha = 0, beta = 0;
  NumbersRead z;
  int64_t row = 0, column = 0;  // elements from row to row and from pixel to pixel
  bool is_single = false;       // one number for all channels
};

// Where results of a tile go: the part of it that is inside.
struct TileResult {
  NumbersWritten y;
  int64_t row = 0, column = 0;
  int64_t rows = 0, columns = 0;
  int64_t channels = 0;         // of the panel
  const float* bias = nullptr;  // of the panel's channels; null: none
  std::span<const TileStep> steps;
};

struct WinogradKernels {
  int64_t lanes = 0;      // of a vector
  int64_t most_rows = 0;  // of a group, even
  struct Transforms {
    // A tile of t * t pixels with `channels` each, to v, whose positions are `position` elements apart and whose blocks `block`.
    void (*input)(const std::byte* const* pixels, bool is_bf16, int64_t channels, float* v, int64_t position, int64_t block) = nullptr;
    // Windows of the first `count` output channels of a panel, from one input channel: w with `output` elements from channel to
    // channel, `row` from row to row and `column` in it; to u, whose positions are `position` elements apart.
    void (*weights)(NumbersRead w, int64_t output, int64_t row, int64_t column, int64_t count, float* u, int64_t position) = nullptr;
    // Products of a tile, whose positions are `position` elements apart, to the tile's results.
    void (*output)(const float* products, int64_t position, const TileResult& result) = nullptr;
  };
  Transforms two, four;  // m = 2, 4
  // products [rows][2 * lanes] = v u, v [blocks][rows][lanes] and u [depth][2 * lanes]; rows is even.
  void (*multiply)(int64_t rows, const float* v, const float* u, int64_t depth, float* products) = nullptr;
};

// For this machine; null where its vectors have fewer than 8 numbers.
const WinogradKernels* winograd_kernels();

// Whether a tile's results can be finished by such a step.
bool finishes_tiles(EpilogueKind kind);

}  // namespace gannet
