// The arithmetic of recurrent cells: a product of a few rows with packed weights and, while its sums are in registers, the
// functions of the gates. Units (neurons of a state) stand in panels of one vector each, and the weights of all gates of a
// panel lie together in the order in which a product reads them.
//
// A row's result depends on nothing but the row: which rows run together, and on which thread, changes no bit.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "ir/ops/recurrent_activation.h"

namespace gannet {

enum class CellKind : uint8_t { kRnn, kGru, kGruLinear, kLstm };  // kGruLinear: linear_before_reset
inline constexpr size_t kCellKinds = 4;

int64_t gates_of(CellKind kind);

// One direction of a layer. Packed parts are [panel][...][lane], filled up with zeros; gates in ONNX's order.
struct CellWeights {
  int64_t input = 0, hidden = 0;
  const float* w = nullptr;           // [panel][input][gate][lane]
  const float* r = nullptr;           // [panel][hidden][gate][lane]; of kGru: gates z and r
  const float* r_hidden = nullptr;    // of kGru: [panel][hidden][lane]
  const float* bias = nullptr;        // [panel][gate][lane], joins the projection
  const float* reset_bias = nullptr;  // of kGruLinear: [panel][lane], of the hidden gate inside of the reset
  const float* peepholes = nullptr;   // of kLstm: [panel][3][lane], or null
  const Activation* functions = nullptr;
  bool plain = false;                 // the functions are ONNX's defaults without a clip
  bool input_forget = false;
};

// Rows that run together. States and projections are filled up to whole panels.
inline constexpr int kMostCellRows = 6;
struct CellTile {
  int rows = 0;
  std::array<const float*, kMostCellRows> x;          // of a projection: [input]; it writes to `projected`
  std::array<float*, kMostCellRows> projected;        // [panel][gate][lane]
  std::array<const float*, kMostCellRows> h;          // the state before the step
  std::array<float*, kMostCellRows> next;             // and after it; not the same memory
  std::array<float*, kMostCellRows> c;                // of kLstm: the cell state, updated
  std::array<float*, kMostCellRows> update, reset;    // of kGru, from `step` to `finish`: z and r * h
};

using CellFn = void (*)(const CellWeights& weights, const CellTile& tile, int64_t first_panel, int64_t end_panel);
// Entry i runs tiles of i + 1 rows; at most `rows`.
struct CellFns {
  int rows = 1;
  std::array<CellFn, kMostCellRows> of_rows = {};
};

// For one instruction set.
struct CellKernels {
  int64_t lanes = 0;
  std::array<CellFns, kCellKinds> project;  // projected = bias + x w
  std::array<CellFns, kCellKinds> step;     // one step of the state
  CellFns finish;                           // of kGru: what follows when `step` has run over all panels
};

// The kernels for states of `hidden` units on this machine, as host_target (ir/target.h) sees it.
const CellKernels& cell_kernels(int64_t hidden);

}  // namespace gannet
