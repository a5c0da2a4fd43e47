// Gradients of recurrent layers: ops of their own, since they keep the gates of all steps, which no result of the layer
// holds. Operands are the eight of the layer in ONNX's places and the gradients of Y, Y_h and Y_c (absent where nothing
// depends on one); results the gradients of X, W, R, B, initial_h, initial_c and P, empty for absent operands.
#pragma once

#include <string_view>

#include "ir/eval.h"
#include "ir/infer.h"
#include "ir/ops/recurrent_layer.h"
#include "ir/vjp.h"

namespace gannet {

enum class CellGradientKind : uint8_t { kRnn, kGru, kGruLinear, kLstm };

Status infer_recurrent_gradient(InferContext& c, const RecurrentCell& cell);
Status eval_recurrent_gradient(EvalContext& c, const RecurrentCell& cell, CellGradientKind kind);
// The vjp of a layer: one node of `gradient_op`.
Status recurrent_vjp(VjpContext& c, std::string_view gradient_op);
// The vjp of the gradient ops: an Unsupported error.
Status recurrent_second_order(VjpContext& c);

}  // namespace gannet
