// Gradients of RNN, GRU and LSTM: the layer runs again and keeps what its steps computed, then the steps are taken in
// reverse order (back-propagation through time). What a step gives is the gradient of the arguments of its gates; weights,
// biases and inputs follow from those of all steps by one product each.
#include "ir/ops/recurrent_gradient.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/contraction.h"
#include "ir/ops/float_compute.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/recurrent_layer.h"

namespace gannet {
namespace {

enum GradientOperand : size_t { kDy = kRecurrentOperands, kDlastH, kDlastC };
enum GradientResult : size_t { kDx = 0, kDw, kDr, kDb, kDinitialH, kDinitialC, kDp, kGradientResults };
// The operand that a result is the gradient of.
constexpr size_t kOperandOf[] = {kX, kW, kR, kB, kInitialH, kInitialC, kP};

// A matrix of rows, one for each step and row of the batch in the order in which the steps run.
template <class T>
struct Rows {
  Tensor tensor;
  T* data = nullptr;
  int64_t columns = 0;

  T* at(int64_t row) const { return data + row * columns; }
};

template <class T>
Result<Rows<T>> allocate_rows(EvalContext& c, int64_t rows, int64_t columns) {
  Rows<T> result;
  result.tensor = TRY(c.allocate(dtype_of<T>(), {rows, columns}));
  result.data = result.tensor.template mutable_data<T>().data();
  std::fill_n(result.data, rows * columns, T(0));
  result.columns = columns;
  return result;
}

// What one direction keeps of its run, and what the way back adds up; zero at first.
template <class T>
struct Tape {
  Rows<T> x, sums;      // sums: the arguments of the gates' functions
  Rows<T> gates, slopes;              // what the functions give for them, and their slopes
  Rows<T> squashed, squashed_slopes;  // of an LSTM: the same of the new cell state
  Rows<T> linear;       // of a GRU: r * h, or with linear_before_reset h R^T + b of the hidden gate
  Rows<T> h, c;         // before each step and after the last
  Rows<T> dsums, dlinear;
  Rows<T> dh, dc, dp;   // of the state that the way back has reached; of P
};

template <class T>
Result<Tape<T>> allocate_tape(EvalContext& c, const RecurrentExtents& e) {
  const int64_t rows = e.steps * e.batch, width = e.gates * e.hidden;
  Tape<T> tape;
  tape.x = TRY(allocate_rows<T>(c, rows, e.input));
  for (Rows<T>* part : {&tape.sums, &tape.gates, &tape.slopes, &tape.dsums}) *part = TRY(allocate_rows<T>(c, rows, width));
  for (Rows<T>* part : {&tape.squashed, &tape.squashed_slopes}) *part = TRY(allocate_rows<T>(c, e.gates == 4 ? rows : 0, e.hidden));
  for (Rows<T>* part : {&tape.linear, &tape.dlinear}) *part = TRY(allocate_rows<T>(c, rows, e.hidden));
  for (Rows<T>* part : {&tape.h, &tape.c}) *part = TRY(allocate_rows<T>(c, rows + e.batch, e.hidden));
  for (Rows<T>* part : {&tape.dh, &tape.dc}) *part = TRY(allocate_rows<T>(c, e.batch, e.hidden));
  tape.dp = TRY(allocate_rows<T>(c, 1, 3 * e.hidden));
  return tape;
}

// target = sum over rows of left^T right.
template <class T>
void multiply_transposed(int64_t rows, int64_t m, const T* left, int64_t left_stride, int64_t n, const T* right,
                         int64_t right_stride, T* target) {
  multiply<T>({m, n, rows}, {left, 1, left_stride}, {right, right_stride, 1}, {target, n, false});
}

// What a cell needs to go back through a step.
struct CellRules {
  CellGradientKind kind = CellGradientKind::kRnn;
  bool couple = false;  // of an LSTM: input_forget
};

// One direction, there and back.
template <class T>
class DirectionGradient {
 public:
  DirectionGradient(const RecurrentOperands& operands, const CellRules& rules, int64_t direction, bool reverse, Tape<T> tape)
      : o_(operands),
        e_(operands.extents),
        rules_(rules),
        direction_(direction),
        reverse_(reverse),
        rows_(e_.steps * e_.batch),
        width_(e_.gates * e_.hidden),
        tape_(std::move(tape)) {
    size_t functions = operands.activations.size() / static_cast<size_t>(operands.directions);
    for (size_t i = 0; i < functions; ++i) {
      functions_.push_back(operands.activations[static_cast<size_t>(direction) * functions + i]);
      if (i == 2) functions_[i].clip = 0;  // the cell state passes to h as it is
    }
    r_ = operands.r.data<T>().data() + direction * width_ * e_.hidden;
    w_ = operands.w.data<T>().data() + direction * width_ * e_.input;
    if (operands.b.defined()) b_ = operands.b.data<T>().data() + direction * 2 * width_;
    if (operands.p.defined()) p_ = operands.p.data<T>().data() + direction * 3 * e_.hidden;
  }

  // Gradients of the results; undefined where nothing depends on one.
  void run(const Tensor& dy, const Tensor& dlast_h, const Tensor& dlast_c, std::vector<Tensor>& results) {
    project();
    load(o_.initial_h, tape_.h);
    load(o_.initial_c, tape_.c);
    for (int64_t step = 0; step < e_.steps; ++step) forward(step);
    load(dlast_h, tape_.dh);
    load(dlast_c, tape_.dc);
    for (int64_t step = e_.steps; step-- > 0;) {
      if (dy.defined()) add_output_gradient(step, dy.data<T>().data());
      backward(step);
    }
    store(results);
  }

 private:
  int64_t length(int64_t row) const { return o_.lengths[static_cast<size_t>(row)]; }
  int64_t time_of(int64_t step, int64_t row) const { return reverse_ ? length(row) - 1 - step : step; }
  // Value and slope of the function of a gate, from its sums.
  void open_gate(size_t function, int64_t at, int64_t gate) {
    const int64_t first = gate * e_.hidden;
    for (int64_t j = first; j < first + e_.hidden; ++j) functions_[function].evaluate(tape_.sums.at(at)[j], tape_.gates.at(at)[j], tape_.slopes.at(at)[j]);
  }

  // Calls visit(row, its place among all rows) for the rows whose sequences have this step.
  template <class Visit>
  void for_running(int64_t step, const Visit& visit) {
    for (int64_t row = 0; row < e_.batch; ++row) {
      if (step < length(row)) visit(row, step * e_.batch + row);
    }
  }

  void load(const Tensor& given, const Rows<T>& state) {
    for (int64_t row = 0; given.defined() && row < e_.batch; ++row) {
      std::copy_n(given.data<T>().data() + o_.state_offset(direction_, row), e_.hidden, state.at(row));
    }
  }

  // The inputs in the order of the steps, and their part of the sums.
  void project() {
    for (int64_t step = 0; step < e_.steps; ++step) {
      for_running(step, [&](int64_t row, int64_t at) {
        std::copy_n(o_.x.data<T>().data() + (time_of(step, row) * e_.batch + row) * e_.input, e_.input, tape_.x.at(at));
      });
    }
    multiply<T>({rows_, width_, e_.input}, {tape_.x.at(0), e_.input, 1}, {w_, 1, e_.input}, {tape_.sums.at(0), width_, false});
    if (!b_) return;
    const bool apart = rules_.kind == CellGradientKind::kGruLinear;
    for (int64_t i = 0; i < rows_; ++i) {
      for (int64_t j = 0; j < width_; ++j) {
        tape_.sums.at(i)[j] += b_[j] + (apart && j >= 2 * e_.hidden ? T(0) : b_[width_ + j]);
      }
    }
  }

  // target rows += or = rows * R^T over gates [first, first + gates).
  void add_recurrence(const T* rows, int64_t first, int64_t gates, T* target, int64_t target_stride, bool accumulate) {
    multiply<T>({e_.batch, gates * e_.hidden, e_.hidden}, {rows, e_.hidden, 1}, {r_ + first * e_.hidden * e_.hidden, 1, e_.hidden},
                {target, target_stride, accumulate});
  }

  // target rows += or = the sums' gradients * R over gates [first, first + gates).
  void add_recurrence_gradient(const T* gradients, int64_t stride, int64_t first, int64_t gates, T* target, bool accumulate) {
    multiply<T>({e_.batch, e_.hidden, gates * e_.hidden}, {gradients, stride, 1}, {r_ + first * e_.hidden * e_.hidden, e_.hidden, 1},
                {target, e_.hidden, accumulate});
  }

  void forward(int64_t step) {
    const int64_t n = e_.hidden, begin = step * e_.batch;
    std::copy_n(tape_.h.at(begin), e_.batch * n, tape_.h.at(begin + e_.batch));
    std::copy_n(tape_.c.at(begin), e_.batch * n, tape_.c.at(begin + e_.batch));
    switch (rules_.kind) {
      case CellGradientKind::kRnn:
        add_recurrence(tape_.h.at(begin), 0, 1, tape_.sums.at(begin), width_, true);
        break;
      case CellGradientKind::kLstm:
        add_recurrence(tape_.h.at(begin), 0, 4, tape_.sums.at(begin), width_, true);
        break;
      case CellGradientKind::kGru:
        add_recurrence(tape_.h.at(begin), 0, 2, tape_.sums.at(begin), width_, true);
        for_running(step, [&](int64_t, int64_t at) {
          open_gate(0, at, 1);
          for (int64_t j = 0; j < n; ++j) tape_.linear.at(at)[j] = tape_.gates.at(at)[n + j] * tape_.h.at(at)[j];
        });
        add_recurrence(tape_.linear.at(begin), 2, 1, tape_.sums.at(begin) + 2 * n, width_, true);
        break;
      case CellGradientKind::kGruLinear:
        add_recurrence(tape_.h.at(begin), 0, 2, tape_.sums.at(begin), width_, true);
        add_recurrence(tape_.h.at(begin), 2, 1, tape_.linear.at(begin), n, false);
        for_running(step, [&](int64_t, int64_t at) {
          open_gate(0, at, 1);
          for (int64_t j = 0; j < n; ++j) {
            if (b_) tape_.linear.at(at)[j] += b_[width_ + 2 * n + j];
            tape_.sums.at(at)[2 * n + j] += tape_.gates.at(at)[n + j] * tape_.linear.at(at)[j];
          }
        });
        break;
    }
    for_running(step, [&](int64_t, int64_t at) { next_state(at); });
  }

  void next_state(int64_t at) {
    const int64_t n = e_.hidden;
    if (rules_.kind == CellGradientKind::kLstm) return next_lstm_state(at);
    open_gate(0, at, 0);
    const T *gates = tape_.gates.at(at), *h = tape_.h.at(at);
    T* next_h = tape_.h.at(at + e_.batch);
    if (rules_.kind == CellGradientKind::kRnn) {
      std::copy_n(gates, n, next_h);
      return;
    }
    open_gate(1, at, 2);
    for (int64_t j = 0; j < n; ++j) next_h[j] = (1 - gates[j]) * gates[2 * n + j] + gates[j] * h[j];
  }

  void next_lstm_state(int64_t at) {
    const int64_t n = e_.hidden;
    T *sums = tape_.sums.at(at), *gates = tape_.gates.at(at), *squashed = tape_.squashed.at(at);
    const T* c = tape_.c.at(at);
    T *next_h = tape_.h.at(at + e_.batch), *next_c = tape_.c.at(at + e_.batch);
    for (int64_t j = 0; p_ && j < n; ++j) {
      sums[j] += p_[j] * c[j];
      sums[2 * n + j] += p_[2 * n + j] * c[j];
    }
    open_gate(0, at, 0);
    open_gate(0, at, 2);
    open_gate(1, at, 3);
    for (int64_t j = 0; rules_.couple && j < n; ++j) gates[2 * n + j] = 1 - gates[j];
    for (int64_t j = 0; j < n; ++j) next_c[j] = gates[2 * n + j] * c[j] + gates[j] * gates[3 * n + j];
    for (int64_t j = 0; p_ && j < n; ++j) sums[n + j] += p_[n + j] * next_c[j];
    open_gate(0, at, 1);
    for (int64_t j = 0; j < n; ++j) functions_[2].evaluate(next_c[j], squashed[j], tape_.squashed_slopes.at(at)[j]);
    for (int64_t j = 0; j < n; ++j) next_h[j] = gates[n + j] * squashed[j];
  }

  void add_output_gradient(int64_t step, const T* dy) {
    for_running(step, [&](int64_t row, int64_t) {
      const T* source = dy + o_.output_offset(direction_, time_of(step, row), row);
      for (int64_t j = 0; j < e_.hidden; ++j) tape_.dh.at(row)[j] += source[j];
    });
  }

  // From the gradients of the state after a step to those of its sums and of the state before it.
  void backward(int64_t step) {
    const int64_t n = e_.hidden, begin = step * e_.batch;
    switch (rules_.kind) {
      case CellGradientKind::kRnn:
        for_running(step, [&](int64_t row, int64_t at) {
          for (int64_t j = 0; j < n; ++j) tape_.dsums.at(at)[j] = tape_.dh.at(row)[j] * tape_.slopes.at(at)[j];
          std::fill_n(tape_.dh.at(row), n, T(0));
        });
        add_recurrence_gradient(tape_.dsums.at(begin), width_, 0, 1, tape_.dh.at(0), true);
        break;
      case CellGradientKind::kLstm:
        for_running(step, [&](int64_t row, int64_t at) { backward_lstm(row, at); });
        add_recurrence_gradient(tape_.dsums.at(begin), width_, 0, 4, tape_.dh.at(0), true);
        break;
      case CellGradientKind::kGru:
      case CellGradientKind::kGruLinear:
        backward_gru(step);
        break;
    }
  }

  void backward_lstm(int64_t row, int64_t at) {
    const int64_t n = e_.hidden;
    const T *gates = tape_.gates.at(at), *slopes = tape_.slopes.at(at), *c = tape_.c.at(at), *next_c = tape_.c.at(at + e_.batch);
    const T *squashed = tape_.squashed.at(at), *squashed_slopes = tape_.squashed_slopes.at(at);
    T *dsums = tape_.dsums.at(at), *dh = tape_.dh.at(row), *dc = tape_.dc.at(row), *dp = tape_.dp.at(0);
    for (int64_t j = 0; j < n; ++j) {
      const T input = gates[j], forget = gates[2 * n + j], cell = gates[3 * n + j];
      dsums[n + j] = dh[j] * squashed[j] * slopes[n + j];
      T dnext = dc[j] + dh[j] * gates[n + j] * squashed_slopes[j];
      if (p_) dnext += dsums[n + j] * p_[n + j];
      dsums[j] = dnext * (rules_.couple ? cell - c[j] : cell) * slopes[j];
      dsums[2 * n + j] = rules_.couple ? T(0) : dnext * c[j] * slopes[2 * n + j];
      dsums[3 * n + j] = dnext * input * slopes[3 * n + j];
      dc[j] = dnext * forget;
      dh[j] = 0;
      if (!p_) continue;
      dc[j] += dsums[j] * p_[j] + dsums[2 * n + j] * p_[2 * n + j];
      dp[j] += dsums[j] * c[j];
      dp[n + j] += dsums[n + j] * next_c[j];
      dp[2 * n + j] += dsums[2 * n + j] * c[j];
    }
  }

  void backward_gru(int64_t step) {
    const int64_t n = e_.hidden, begin = step * e_.batch;
    const bool is_linear = rules_.kind == CellGradientKind::kGruLinear;
    for_running(step, [&](int64_t row, int64_t at) {
      const T *gates = tape_.gates.at(at), *slopes = tape_.slopes.at(at), *h = tape_.h.at(at);
      T *dsums = tape_.dsums.at(at), *dh = tape_.dh.at(row);
      for (int64_t j = 0; j < n; ++j) {
        const T update = gates[j];
        dsums[j] = dh[j] * (h[j] - gates[2 * n + j]) * slopes[j];
        dsums[2 * n + j] = dh[j] * (1 - update) * slopes[2 * n + j];
        if (is_linear) {
          dsums[n + j] = dsums[2 * n + j] * tape_.linear.at(at)[j] * slopes[n + j];
          tape_.dlinear.at(at)[j] = dsums[2 * n + j] * gates[n + j];
        }
        dh[j] *= update;
      }
    });
    if (is_linear) {
      add_recurrence_gradient(tape_.dlinear.at(begin), n, 2, 1, tape_.dh.at(0), true);
    } else {
      add_recurrence_gradient(tape_.dsums.at(begin) + 2 * n, width_, 2, 1, tape_.dlinear.at(begin), false);
      for_running(step, [&](int64_t row, int64_t at) {
        const T *gates = tape_.gates.at(at), *slopes = tape_.slopes.at(at), *dreset = tape_.dlinear.at(at);
        for (int64_t j = 0; j < n; ++j) {
          tape_.dsums.at(at)[n + j] = dreset[j] * tape_.h.at(at)[j] * slopes[n + j];
          tape_.dh.at(row)[j] += dreset[j] * gates[n + j];
        }
      });
    }
    add_recurrence_gradient(tape_.dsums.at(begin), width_, 0, 2, tape_.dh.at(0), true);
  }

  void store(std::vector<Tensor>& results) {
    auto part = [&](GradientResult which, int64_t size) { return results[which].mutable_data<T>().data() + direction_ * size; };
    multiply_transposed<T>(rows_, width_, tape_.dsums.at(0), width_, e_.input, tape_.x.at(0), e_.input, part(kDw, width_ * e_.input));
    store_recurrence(part(kDr, width_ * e_.hidden));
    if (o_.b.defined()) store_bias(part(kDb, 2 * width_));
    if (p_) std::copy_n(tape_.dp.at(0), 3 * e_.hidden, part(kDp, 3 * e_.hidden));
    store_state(o_.initial_h, tape_.dh, results[kDinitialH]);
    store_state(o_.initial_c, tape_.dc, results[kDinitialC]);
    store_inputs(results[kDx].mutable_data<T>().data());
  }

  // The hidden gate of a GRU multiplies either r * h or, inside of the reset, h.
  void store_recurrence(T* dr) {
    const int64_t n = e_.hidden;
    const bool gru = rules_.kind == CellGradientKind::kGru, is_linear = rules_.kind == CellGradientKind::kGruLinear;
    multiply_transposed<T>(rows_, gru || is_linear ? 2 * n : width_, tape_.dsums.at(0), width_, n, tape_.h.at(0), n, dr);
    if (gru) multiply_transposed<T>(rows_, n, tape_.dsums.at(0) + 2 * n, width_, n, tape_.linear.at(0), n, dr + 2 * n * n);
    if (is_linear) multiply_transposed<T>(rows_, n, tape_.dlinear.at(0), n, n, tape_.h.at(0), n, dr + 2 * n * n);
  }

  void store_bias(T* db) {
    const int64_t n = e_.hidden;
    const bool apart = rules_.kind == CellGradientKind::kGruLinear;
    std::fill_n(db, 2 * width_, T(0));
    for (int64_t i = 0; i < rows_; ++i) {
      for (int64_t j = 0; j < width_; ++j) {
        db[j] += tape_.dsums.at(i)[j];
        db[width_ + j] += apart && j >= 2 * n ? tape_.dlinear.at(i)[j - 2 * n] : tape_.dsums.at(i)[j];
      }
    }
  }

  void store_state(const Tensor& initial, const Rows<T>& gradient, Tensor& result) {
    for (int64_t row = 0; initial.defined() && row < e_.batch; ++row) {
      std::copy_n(gradient.at(row), e_.hidden, result.mutable_data<T>().data() + o_.state_offset(direction_, row));
    }
  }

  // Directions add up.
  void store_inputs(T* dx) {
    multiply<T>({rows_, e_.input, width_}, {tape_.dsums.at(0), width_, 1}, {w_, e_.input, 1}, {tape_.x.at(0), e_.input, false});
    for (int64_t step = 0; step < e_.steps; ++step) {
      for_running(step, [&](int64_t row, int64_t at) {
        const int64_t time = time_of(step, row);
        T* target = dx + (o_.batch_first ? row * e_.steps + time : time * e_.batch + row) * e_.input;
        for (int64_t j = 0; j < e_.input; ++j) target[j] += tape_.x.at(at)[j];
      });
    }
  }

  const RecurrentOperands& o_;
  const RecurrentExtents& e_;
  const CellRules rules_;
  const int64_t direction_;
  const bool reverse_;
  const int64_t rows_, width_;
  std::vector<Activation> functions_;
  const T *r_ = nullptr, *w_ = nullptr, *b_ = nullptr, *p_ = nullptr;
  const Tape<T> tape_;
};

template <class T>
Status run_directions(EvalContext& c, const RecurrentOperands& operands, const CellRules& rules, const std::vector<Tensor>& gradients,
                      std::vector<Tensor>& results) {
  for (Tensor& result : results) std::ranges::fill(result.mutable_data<T>(), T(0));
  for (int64_t direction = 0; direction < operands.directions; ++direction) {
    bool reverse = direction == 1 || c.attrs().text("direction") == "reverse";
    Tape<T> tape = TRY(allocate_tape<T>(c, operands.extents));
    DirectionGradient<T>(operands, rules, direction, reverse, std::move(tape)).run(gradients[0], gradients[1], gradients[2], results);
  }
  return {};
}

}  // namespace

Status infer_recurrent_gradient(InferContext& c, const RecurrentCell& cell) {
  RecurrentShapes shapes = TRY(recurrent_shapes(c, cell));
  for (size_t i = kDy; i <= kDlastC; ++i) {
    if (!c.has(i)) continue;
    TRY(expect_same_dtype(c, 0, i));
    const Shape& wanted = i == kDy ? shapes.y : shapes.state;
    TRY(expect_rank(c, i, static_cast<int64_t>(wanted.size()), "gradient"));
    if (!c.shape(i)) continue;
    for (size_t d = 0; d < wanted.size(); ++d) {
      const Dim& given = (*c.shape(i))[d];
      if (given.is_constant() && wanted[d].is_constant() && given != wanted[d]) {
        return invalid_model(fmt::format("the gradient in input {} must have shape {}, got {}", i, to_string(std::span<const Dim>(wanted)),
                                         to_string(std::span<const Dim>(*c.shape(i)))));
      }
    }
  }
  for (size_t i = 0; i < kGradientResults; ++i) {
    const size_t operand = kOperandOf[i];
    if (!c.has(operand)) c.set_tensor(i, c.dtype(kX), Shape{0});
    else if (c.shape(operand)) c.set_tensor(i, c.dtype(kX), *c.shape(operand));
  }
  return {};
}

Status eval_recurrent_gradient(EvalContext& c, const RecurrentCell& cell, CellGradientKind kind) {
  const RecurrentOperands operands = TRY(recurrent_operands(c, cell));
  const DType dtype = operands.x.dtype();
  std::vector<Tensor> gradients(3), results;
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (c.has(kDy + i)) gradients[i] = TRY(widened(c.tensor(kDy + i)));
  }
  for (const size_t operand : kOperandOf) {
    std::vector<int64_t> extents = c.has(operand) ? c.tensor(operand).extents() : std::vector<int64_t>{0};
    results.push_back(TRY(c.allocate(dtype, std::move(extents))));
  }
  const CellRules rules = {kind, kind == CellGradientKind::kLstm && c.attrs().integer("input_forget") != 0};
  if (dtype == DType::kF64)
    TRY(run_directions<double>(c, operands, rules, gradients, results));
  else
    TRY(run_directions<float>(c, operands, rules, gradients, results));
  for (size_t i = 0; i < results.size(); ++i) c.set(i, TRY(as_dtype(results[i], c.tensor(kX).dtype())));
  return {};
}

Status recurrent_vjp(VjpContext& c, std::string_view gradient_op) {
  std::vector<Value*> operands;
  for (size_t i = 0; i < kRecurrentOperands; ++i) operands.push_back(c.operand(i));
  for (size_t i = 0; i < 3; ++i) operands.push_back(c.gradient(i));
  const std::vector<Value*> results = c.b.op_n(gradient_op, std::move(operands), c.attrs(), kGradientResults);
  TRY(Status(c.b.status()));
  for (size_t i = 0; i < kGradientResults; ++i) {
    if (c.wants(kOperandOf[i])) c.set(kOperandOf[i], results[i]);
    else c.b.graph().drop_output(results[i]->producer(), i);
  }
  return {};
}

Status recurrent_second_order(VjpContext& c) {
  return unsupported(fmt::format("{}: recurrent layers are differentiated once only", c.node().op().name));
}

}  // namespace gannet
