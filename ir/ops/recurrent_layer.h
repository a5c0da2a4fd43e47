// What RNN, GRU and LSTM share: shapes, directions, sequence lengths, activations. A layer projects the
// inputs of all steps at once; what differs is the step of a cell, which turns projected inputs and the state
// into the next state.
#pragma once

#include <span>
#include <vector>

#include "ir/eval.h"
#include "ir/infer.h"
#include "ir/op.h"
#include "ir/ops/recurrent_activation.h"

namespace gannet {

struct RecurrentCell {
  int64_t gates = 1;
  std::span<const std::string_view> activations;  // the defaults, one direction's
  bool has_cell_state = false;                    // initial_c, P and Y_c
};

struct RecurrentExtents {
  int64_t steps = 0;
  int64_t batch = 0;
  int64_t input = 0;
  int64_t hidden = 0;
  int64_t gates = 1;
};

// Where ONNX puts the operands; the gradient ops begin with the same. RNN and GRU have no initial_c and P.
enum RecurrentOperand : size_t { kX = 0, kW, kR, kB, kLengths, kInitialH, kInitialC, kP };
inline constexpr size_t kRecurrentOperands = 8;

// A layer's operands in the dtype of computation; absent ones are undefined.
struct RecurrentOperands {
  RecurrentExtents extents;
  int64_t directions = 1;
  bool batch_first = false;
  Tensor x;  // [steps, batch, input] in either layout
  Tensor w, r, b, p;
  Tensor initial_h, initial_c;
  std::vector<int64_t> lengths;  // a row
  std::vector<Activation> activations;

  // Where the state of row `row` stands in initial_h, Y_h and the like.
  int64_t state_offset(int64_t direction, int64_t row) const;
  // Where it stands in Y.
  int64_t output_offset(int64_t direction, int64_t time, int64_t row) const;
};
Result<RecurrentOperands> recurrent_operands(EvalContext& c, const RecurrentCell& kind);

// One direction of a layer while it runs. Matrices are row-major.
template <class T>
struct RecurrentDirection {
  RecurrentExtents extents;
  std::span<const Activation> activations;
  const T* recurrence = nullptr;       // [gates * hidden, hidden]
  const T* recurrence_bias = nullptr;  // [gates * hidden], or null
  const T* peepholes = nullptr;        // [3 * hidden], or null
  T* h = nullptr;                      // [batch, hidden], the state
  T* c = nullptr;                      // [batch, hidden], the cell state of an LSTM
  T* products = nullptr;               // [batch, gates * hidden], room for the recurrent products
  T* scratch = nullptr;                // [batch, hidden]
  std::vector<const T*> inputs;        // a row: its projected input [gates * hidden], or null past its end
};

// What is particular to "RNN", "GRU" or "LSTM".
const RecurrentCell& recurrent_cell(std::string_view op);

struct RecurrentShapes {
  Shape y, state;
};
// Checks the operands and attributes of a recurrent op.
Result<RecurrentShapes> recurrent_shapes(InferContext& c, const RecurrentCell& kind);
// Infers its outputs too.
Status infer_recurrent(InferContext& c, const RecurrentCell& kind);

// The functions of the node, all directions after each other; an error for unknown names or too few of them.
Result<std::vector<Activation>> activations_of(const Attributes& attrs, const RecurrentCell& kind,
                                               int64_t directions);

// products = rows * recurrence[first gate ...]^T over `gates` gates; rows is [batch, hidden], products keep
// their place.
template <class T>
void multiply_recurrence(const RecurrentDirection<T>& d, const T* rows, int64_t first_gate, int64_t gates);

// Advances every row that has an input by one step.
template <class T>
using CellStep = void (*)(const Attributes& attrs, RecurrentDirection<T>& d);

// Runs a layer; `add_recurrence_bias` says whether the recurrent bias of a gate joins the projected input.
Status eval_recurrent(EvalContext& c, const RecurrentCell& kind, CellStep<float> step32,
                      CellStep<double> step64,
                      bool (*add_recurrence_bias)(const Attributes& attrs, int64_t gate));

}  // namespace gannet
