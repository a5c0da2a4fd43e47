// The weights of a recurrent layer as its kernels read them (recurrent_cell.h): all directions in one piece of memory.
#pragma once

#include <cstdint>

#include "runtime/kernels/recurrent_cell.h"

namespace gannet {

struct RecurrentWeightsLayout {
  CellKind kind = CellKind::kLstm;
  int64_t input = 0, hidden = 0, directions = 1, lanes = 1;

  int64_t panels() const { return (hidden + lanes - 1) / lanes; }
  int64_t units() const { return panels() * lanes; }  // `hidden` filled up
  // Floats of one direction; 64-byte steps.
  int64_t direction_size() const;
  int64_t bytes() const { return directions * direction_size() * 4; }
};

// ONNX's operands, rows by ONNX's gates; b and p may be null.
struct PlainWeights {
  const float *w = nullptr, *r = nullptr, *b = nullptr, *p = nullptr;
};

// Packs panels [first, end) of all directions, counted through: direction after direction.
void pack_weights(const RecurrentWeightsLayout& layout, const PlainWeights& plain, int64_t first, int64_t end, float* packed);
// The parts of one direction; functions and flags are the caller's.
CellWeights weights_of(const RecurrentWeightsLayout& layout, const float* packed, int64_t direction, bool has_peepholes);

}  // namespace gannet
