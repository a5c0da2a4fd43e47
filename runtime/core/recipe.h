// What a library primitive is to compute, as plain data: a Program holds recipes, and runtime/kernels makes the
// primitives from them when the sizes of a run are known. Sizes are positions in Program::sizes.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "ir/base/dtype.h"
#include "ir/epilogue.h"
#include "ir/ops/recurrent_activation.h"

namespace gannet {

using SizeId = int32_t;

// A tensor operand as the primitive sees it: extents in the primitive's logical order (N, C, spatial... for
// convolutions; batch..., rows, columns for products) and strides in elements, so that a transposed or
// channels-last operand needs no copy.
struct TensorLayout {
  DType dtype = DType::kF32;
  std::vector<SizeId> extents;
  std::vector<SizeId> strides;
};

// One function applied to each element of a result before it is stored, in order.
struct EpilogueStep {
  EpilogueKind kind = EpilogueKind::kRelu;
  float alpha = 0;  // slope, lower bound, factor: as the kind says
  float beta = 0;
  int32_t operand = -1;   // of kAdd, kMul, kMax, kMin: which of the step's inputs
  TensorLayout layout;    // of that operand; extent 1 where it is broadcast
};

// Sums of integers: x is i8 or u8 and w i8, x_zero is taken from each element of x (not from padding, which counts as 0),
// and the sums become f32 where y is not i32.

// y = epilogue(conv(x, w) + bias). Inputs of the step: x, w, then the bias where there is one, then operands of the
// epilogue. For `transposed` (deconvolution) w is [in, out / groups, kernel...], else [out, in / groups, kernel...].
struct ConvolutionRecipe {
  TensorLayout x, w, y;
  bool transposed = false;
  bool has_bias = false;
  int64_t groups = 1;
  std::vector<int64_t> strides, dilations;     // per spatial axis
  std::vector<SizeId> pads_begin, pads_end;
  bool constant_weights = false;               // w may be repacked once and kept
  int32_t x_zero = 0, x_zero_input = -1;       // a number, or which of the step's inputs, of one element like x
  std::vector<EpilogueStep> epilogue;
  // The step of the epilogue, a kAdd, whose operand is in the memory of y, which it ends in; -1: none.
  int32_t in_place = -1;
};

// The gradient of a convolution's weights, w, from its input x and the gradient y of its result; otherwise as above.
// Inputs of the step: x, y; output: w.
struct WeightGradientRecipe {
  TensorLayout x, w, y;
  int64_t groups = 1;
  std::vector<int64_t> strides, dilations;
  std::vector<SizeId> pads_begin;
};

// y = epilogue(alpha * x w + bias), batch extents broadcast. Inputs: x, w, bias where there is one, epilogue operands.
struct MatmulRecipe {
  TensorLayout x, w, y;
  bool has_bias = false;
  TensorLayout bias;
  float alpha = 1;
  bool constant_weights = false;
  int32_t x_zero = 0, x_zero_input = -1;
  std::vector<EpilogueStep> epilogue;
};

// Rows of y added, in their order, to the rows of x that `positions` name (negative ones count from the end); the
// gradient of Gather. y is [outer, count, inner], x [outer, rows, inner], all f32 and dense. Inputs of the step: y, then
// the positions; output: x. Fails where a position is outside.
struct ScatterRowsRecipe {
  SizeId outer = 0, count = 0, rows = 0, inner = 0;
  DType positions = DType::kI64;
};

enum class ScatterReduction : uint8_t { kNone, kAdd, kMul, kMin, kMax };

// ONNX's ScatterND: y is data, then each of `rows` tuples of indices names a block of `block` elements that takes the
// updates, in order. Inputs of the step: data, indices (i64), updates; output: y, which may lie over data. Fails where a
// tuple is outside of `extents`, the axes that a tuple names.
struct ScatterBlocksRecipe {
  DType dtype = DType::kF32;
  ScatterReduction reduction = ScatterReduction::kNone;
  SizeId rows = 0, block = 0;
  std::vector<SizeId> extents;
};

// Sums or products of the elements so far, along the middle of [outer, length, inner]; f64 and 64-bit integers between.
// Input of the step: x; output: y, which may lie over x.
struct CumulativeRecipe {
  DType dtype = DType::kF32;
  SizeId outer = 0, length = 0, inner = 0;
  bool product = false, exclusive = false, reverse = false;
};

enum class LossReduction : uint8_t { kNone, kSum, kMean };

// ONNX's NegativeLogLikelihoodLoss of scores [samples, classes, pixels] at targets [samples, pixels]. Inputs of the step:
// scores, targets, weights of the classes (kNone: all 1); output: the losses. Fails for a target that is no class.
struct LikelihoodRecipe {
  DType dtype = DType::kF32;
  DType targets = DType::kI64;
  SizeId samples = 0, classes = 0, pixels = 0;
  LossReduction reduction = LossReduction::kMean;
  bool ignores = false;
  int64_t ignored = 0;
};

// y = softmax(q k scale + masks) v over the last axis of the scores, [batch..., rows, columns] of one rank, masks with extents of
// those of the scores or 1. All is f32; or q, k, v are bf16, what the softmax makes is rounded to that, and y is either. Inputs of
// the step: q, k, v, then the masks.
struct AttentionRecipe {
  TensorLayout q, k, v, y;
  float scale = 1;
  bool rounds = false;  // what the softmax makes, to bf16
  std::vector<TensorLayout> masks;
};

enum class PoolingKind : uint8_t { kMax, kAverageWithPadding, kAverageWithoutPadding };

struct PoolingRecipe {
  PoolingKind kind = PoolingKind::kMax;
  TensorLayout x, y;
  std::vector<int64_t> kernel, strides, dilations;
  std::vector<SizeId> pads_begin, pads_end;
  bool gradient = false;  // inputs of the step: x, the gradient of y; output: that of x
};

enum class RecurrentKind : uint8_t { kRnn, kGru, kLstm };

// ONNX's LSTM, GRU (both linear_before_reset forms) and RNN over f32. The step has ONNX's operands in ONNX's places (x, w,
// r, b, sequence_lens, initial_h, initial_c, p) and three results (y, y_h, y_c), kNone where absent or not wanted.
struct RecurrentRecipe {
  RecurrentKind kind = RecurrentKind::kLstm;
  SizeId steps = 0, batch = 0, input_size = 0;
  int64_t hidden_size = 0;
  bool reversed = false, bidirectional = false, batch_first = false;
  bool linear_before_reset = false, input_forget = false;
  bool constant_weights = false;  // w, r, b and p: they may be repacked once and kept
  bool given_h = false, gives_y = false, gives_last_c = false;  // whether the step has initial_h, y and y_c
  std::vector<Activation> activations;  // all directions after each other
};

using Recipe = std::variant<ConvolutionRecipe, MatmulRecipe, PoolingRecipe, RecurrentRecipe, WeightGradientRecipe, ScatterRowsRecipe,
                            ScatterBlocksRecipe, CumulativeRecipe, LikelihoodRecipe, AttentionRecipe>;

}  // namespace gannet
