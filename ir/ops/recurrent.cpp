#include <algorithm>

#include "ir/ops/flops.h"
#include "ir/ops/ops.h"
#include "ir/ops/recurrent_gradient.h"
#include "ir/ops/recurrent_layer.h"

namespace gannet {
namespace {

constexpr AttrDef kRnnAttrs[] = {optional_attr("activation_alpha", AttrKind::kFloats),
                                 optional_attr("activation_beta", AttrKind::kFloats),
                                 optional_attr("activations", AttrKind::kStrings),
                                 optional_attr("clip", AttrKind::kFloat),
                                 string_attr("direction", "forward"),
                                 optional_attr("hidden_size", AttrKind::kInt),
                                 int_attr("layout", 0)};
constexpr AttrDef kGruAttrs[] = {optional_attr("activation_alpha", AttrKind::kFloats),
                                 optional_attr("activation_beta", AttrKind::kFloats),
                                 optional_attr("activations", AttrKind::kStrings),
                                 optional_attr("clip", AttrKind::kFloat),
                                 string_attr("direction", "forward"),
                                 optional_attr("hidden_size", AttrKind::kInt),
                                 int_attr("layout", 0),
                                 int_attr("linear_before_reset", 0)};
constexpr AttrDef kLstmAttrs[] = {optional_attr("activation_alpha", AttrKind::kFloats),
                                  optional_attr("activation_beta", AttrKind::kFloats),
                                  optional_attr("activations", AttrKind::kStrings),
                                  optional_attr("clip", AttrKind::kFloat),
                                  string_attr("direction", "forward"),
                                  optional_attr("hidden_size", AttrKind::kInt),
                                  int_attr("input_forget", 0),
                                  int_attr("layout", 0)};

constexpr std::string_view kRnnFunctions[] = {"Tanh"};
constexpr std::string_view kGruFunctions[] = {"Sigmoid", "Tanh"};
constexpr std::string_view kLstmFunctions[] = {"Sigmoid", "Tanh", "Tanh"};
constexpr RecurrentCell kRnn = {1, kRnnFunctions, false};
constexpr RecurrentCell kGru = {3, kGruFunctions, false};
constexpr RecurrentCell kLstm = {4, kLstmFunctions, true};

// H = f(X W^T + H R^T + b)
template <class T>
void step_rnn(const Attributes&, RecurrentDirection<T>& d) {
  const RecurrentExtents& e = d.extents;
  multiply_recurrence(d, d.h, 0, 1);
  for (int64_t row = 0; row < e.batch; ++row) {
    const T* x = d.inputs[static_cast<size_t>(row)];
    if (!x) continue;
    for (int64_t j = 0; j < e.hidden; ++j)
      d.h[row * e.hidden + j] = d.activations[0](x[j] + d.products[row * e.hidden + j]);
  }
}

// The gates stand in the order z (update), r (reset), h (hidden):
// H = (1 - z) g(...) + z H
template <class T>
void step_gru(const Attributes& attrs, RecurrentDirection<T>& d) {
  const RecurrentExtents& e = d.extents;
  const int64_t n = e.hidden;
  bool linear_before_reset = attrs.integer("linear_before_reset") != 0;
  multiply_recurrence(d, d.h, 0, linear_before_reset ? 3 : 2);
  auto gate = [&](const T* x, const T* products, int64_t at) {
    return d.activations[0](x[at] + products[at]);
  };
  if (!linear_before_reset) {
    for (int64_t row = 0; row < e.batch; ++row) {
      const T *x = d.inputs[static_cast<size_t>(row)], *products = d.products + row * 3 * n;
      for (int64_t j = 0; j < n; ++j)
        d.scratch[row * n + j] = x ? gate(x, products, n + j) * d.h[row * n + j] : T(0);
    }
    multiply_recurrence(d, d.scratch, 2, 1);
  }
  for (int64_t row = 0; row < e.batch; ++row) {
    const T *x = d.inputs[static_cast<size_t>(row)], *products = d.products + row * 3 * n;
    if (!x) continue;
    for (int64_t j = 0; j < n; ++j) {
      T z = gate(x, products, j), hidden = products[2 * n + j];
      if (linear_before_reset) {
        T bias = d.recurrence_bias ? d.recurrence_bias[2 * n + j] : T(0);
        hidden = gate(x, products, n + j) * (hidden + bias);
      }
      T& h = d.h[row * n + j];
      h = (1 - z) * d.activations[1](x[2 * n + j] + hidden) + z * h;
    }
  }
}

// The gates stand in the order i (input), o (output), f (forget), c (cell); peepholes in the order i, o, f:
// C = f C + i g(...), H = o h(C)
// The clip is one of the gates: the cell state passes to h as it is, as in ONNX Runtime.
template <class T>
void step_lstm(const Attributes& attrs, RecurrentDirection<T>& d) {
  const RecurrentExtents& e = d.extents;
  const int64_t n = e.hidden;
  bool couple = attrs.integer("input_forget") != 0;
  Activation unclipped = d.activations[2];
  unclipped.clip = 0;
  multiply_recurrence(d, d.h, 0, 4);
  for (int64_t row = 0; row < e.batch; ++row) {
    const T *x = d.inputs[static_cast<size_t>(row)], *products = d.products + row * 4 * n;
    if (!x) continue;
    for (int64_t j = 0; j < n; ++j) {
      T& c = d.c[row * n + j];
      auto sum = [&](int64_t gate) { return x[gate * n + j] + products[gate * n + j]; };
      auto peek = [&](int64_t gate) { return d.peepholes ? d.peepholes[gate * n + j] * c : T(0); };
      T input = d.activations[0](sum(0) + peek(0));
      T forget = couple ? 1 - input : d.activations[0](sum(2) + peek(2));
      c = forget * c + input * d.activations[1](sum(3));
      T output = d.activations[0](sum(1) + peek(1));
      d.h[row * n + j] = output * unclipped(c);
    }
  }
}

bool always(const Attributes&, int64_t) { return true; }
// With linear_before_reset the bias of the hidden gate stays inside of the reset.
bool before_reset(const Attributes& attrs, int64_t gate) {
  return gate < 2 || attrs.integer("linear_before_reset") == 0;
}

Status infer_rnn(InferContext& c) { return infer_recurrent(c, kRnn); }
Status infer_gru(InferContext& c) { return infer_recurrent(c, kGru); }
Status infer_lstm(InferContext& c) { return infer_recurrent(c, kLstm); }
Status eval_rnn(EvalContext& c) { return eval_recurrent(c, kRnn, step_rnn<float>, step_rnn<double>, always); }
Status eval_gru(EvalContext& c) {
  return eval_recurrent(c, kGru, step_gru<float>, step_gru<double>, before_reset);
}
Status eval_lstm(EvalContext& c) {
  return eval_recurrent(c, kLstm, step_lstm<float>, step_lstm<double>, always);
}

CellGradientKind gru_gradient_kind(const Attributes& attrs) {
  return attrs.integer("linear_before_reset") != 0 ? CellGradientKind::kGruLinear : CellGradientKind::kGru;
}

Status infer_rnn_gradient(InferContext& c) { return infer_recurrent_gradient(c, kRnn); }
Status infer_gru_gradient(InferContext& c) { return infer_recurrent_gradient(c, kGru); }
Status infer_lstm_gradient(InferContext& c) { return infer_recurrent_gradient(c, kLstm); }
Status eval_rnn_gradient(EvalContext& c) { return eval_recurrent_gradient(c, kRnn, CellGradientKind::kRnn); }
Status eval_gru_gradient(EvalContext& c) { return eval_recurrent_gradient(c, kGru, gru_gradient_kind(c.attrs())); }
Status eval_lstm_gradient(EvalContext& c) { return eval_recurrent_gradient(c, kLstm, CellGradientKind::kLstm); }
Status vjp_rnn(VjpContext& c) { return recurrent_vjp(c, "RNNGradient"); }
Status vjp_gru(VjpContext& c) { return recurrent_vjp(c, "GRUGradient"); }
Status vjp_lstm(VjpContext& c) { return recurrent_vjp(c, "LSTMGradient"); }

constexpr StructuredOp gradient_op(std::span<const AttrDef> attrs, InferFn infer, EvalFn eval) {
  return {.inputs = {3, 11}, .outputs = {0, 7}, .attrs = attrs, .infer = infer, .eval = eval,
          .flops = recurrent_gradient_flops};
}

}  // namespace

const RecurrentCell& recurrent_cell(std::string_view op) { return op == "LSTM" ? kLstm : op == "GRU" ? kGru : kRnn; }

constinit const StructuredOp ops::RNN = {.inputs = {3, 6},
                                         .outputs = {0, 2},
                                         .attrs = kRnnAttrs,
                                         .infer = infer_rnn,
                                         .eval = eval_rnn, .flops = recurrent_flops};
constinit const GradientRule gradients::RNN = {.vjp = vjp_rnn};
constinit const StructuredOp ops::GRU = {.inputs = {3, 6},
                                         .outputs = {0, 2},
                                         .attrs = kGruAttrs,
                                         .infer = infer_gru,
                                         .eval = eval_gru, .flops = recurrent_flops};
constinit const GradientRule gradients::GRU = {.vjp = vjp_gru};
constinit const StructuredOp ops::LSTM = {.inputs = {3, 8},
                                          .outputs = {0, 3},
                                          .attrs = kLstmAttrs,
                                          .infer = infer_lstm,
                                          .eval = eval_lstm, .flops = recurrent_flops};
constinit const GradientRule gradients::LSTM = {.vjp = vjp_lstm};

constinit const StructuredOp ops::RNNGradient = gradient_op(kRnnAttrs, infer_rnn_gradient, eval_rnn_gradient);
constinit const GradientRule gradients::RNNGradient = {.vjp = recurrent_second_order};
constinit const StructuredOp ops::GRUGradient = gradient_op(kGruAttrs, infer_gru_gradient, eval_gru_gradient);
constinit const GradientRule gradients::GRUGradient = {.vjp = recurrent_second_order};
constinit const StructuredOp ops::LSTMGradient = gradient_op(kLstmAttrs, infer_lstm_gradient, eval_lstm_gradient);
constinit const GradientRule gradients::LSTMGradient = {.vjp = recurrent_second_order};

}  // namespace gannet
