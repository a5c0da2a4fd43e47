// Quantized layers are said in one way: QLinearConv and QLinearMatMul as the layer between DequantizeLinear and
// QuantizeLinear, weights of ConvInteger and MatMulInteger signed and without a zero point. Tensors stay in their codes for longer: what only moves elements works on codes, decoding and encoding with one code
// cancel, and a bound that the range of the code has anyway goes.
#include <algorithm>

#include "ir/evaluate_op.h"
#include "ir/op.h"
#include "ir/quantize_scalar.h"
#include "passes/linear_code.h"
#include "passes/pass.h"
#include "passes/rewrite.h"

namespace gannet {
namespace {

// DequantizeLinear(x) with the parameters of `like`.
Value* decoded_like(Rewrite& r, const Node& like, Value* codes) {
  std::vector<Value*> operands = {codes};
  for (size_t i = 1; i < like.inputs().size(); ++i) operands.push_back(like.input(i));
  return r.b.op("DequantizeLinear", std::move(operands), like.attrs);
}

// move(decode(codes)) as decode(move(codes)).
Value* move_codes(Rewrite& r) {
  const Node* decoder = decoder_of(r.operand(0));
  if (!decoder || decoder->input(0)->constant()) return nullptr;
  std::vector<Value*> operands(r.node->inputs().begin(), r.node->inputs().end());
  operands[0] = decoder->input(0);
  return decoded_like(r, *decoder, r.b.op(r.node->op().name, std::move(operands), r.node->attrs));
}

// Scales are above 0, so the largest code is that of the largest element.
Value* pool_codes(Rewrite& r) {
  const Node* decoder = decoder_of(r.operand(0));
  if (!decoder || r.node->output(1)) return nullptr;
  const DType dtype = decoder->input(0)->type.dtype;
  return dtype == DType::kI8 || dtype == DType::kU8 ? move_codes(r) : nullptr;
}

Value* join_codes(Rewrite& r) {
  std::vector<Value*> operands;
  const Node* first = decoder_of(r.operand(0));
  for (Value* operand : r.node->inputs()) {
    const Node* decoder = decoder_of(operand);
    if (!decoder || linear_code_of(*decoder) != linear_code_of(*first)) return nullptr;
    operands.push_back(decoder->input(0));
  }
  return first ? decoded_like(r, *first, r.b.op("Concat", std::move(operands), r.node->attrs)) : nullptr;
}

// encode(decode(codes)) with one code: rounding finds each code again.
Value* same_code(Rewrite& r) {
  const Node* decoder = decoder_of(r.operand(0));
  const std::optional<LinearCode> code = linear_code_of(*r.node);
  return decoder && code && code == linear_code_of(*decoder) ? decoder->input(0) : nullptr;
}

// Weights that are encoded in the graph are codes.
Value* encoded_constant(Rewrite& r) {
  std::vector<Tensor> operands;
  for (const Value* operand : r.node->inputs()) {
    if (operand && !operand->constant()) return nullptr;
    operands.push_back(operand ? *operand->constant() : Tensor());
  }
  const Result<Tensor> codes = evaluate_op("QuantizeLinear", operands, r.node->attrs);
  return codes.ok() ? r.b.constant(*codes) : nullptr;
}

// The code of `x`, as QuantizeLinear computes it.
double code_of(const LinearCode& code, float x) {
  return std::clamp(std::nearbyint(x / code.scale) + code.zero, lowest_of(code.dtype), highest_of(code.dtype));
}

// encode(Relu(x)) and encode(Clip(x)) where the bounds have the lowest and the highest code.
Value* bounded_by_code(Rewrite& r) {
  const std::optional<LinearCode> code = linear_code_of(*r.node);
  if (!code) return nullptr;
  const Node* bound = r.operand(0)->producer();
  if (!bound || (bound->op().name != "Relu" && bound->op().name != "Clip")) return nullptr;
  const bool relu = bound->op().name == "Relu";
  const std::optional<double> low = relu ? std::optional(0.0) : single_number(bound->input(1));
  const std::optional<double> high = relu ? std::nullopt : single_number(bound->input(2));
  if ((!relu && bound->input(1) && !low) || (bound->input(2) && !high)) return nullptr;
  if (low && high && !(*low <= *high)) return nullptr;
  if (low && code_of(*code, static_cast<float>(*low)) != lowest_of(code->dtype)) return nullptr;
  if (high && code_of(*code, static_cast<float>(*high)) != highest_of(code->dtype)) return nullptr;
  std::vector<Value*> operands(r.node->inputs().begin(), r.node->inputs().end());
  operands[0] = bound->input(0);
  return r.b.op("QuantizeLinear", std::move(operands), r.node->attrs);
}

// operand i with the scale and the zero point behind it, decoded.
Value* decoded(Rewrite& r, size_t i, int64_t axis) {
  return r.b.op("DequantizeLinear", {r.operand(i), r.operand(i + 1), r.operand(i + 2)}, {{"axis", axis}});
}

bool is_single(const Value* value) {
  return value && value->type.shape && std::ranges::all_of(*value->type.shape, [](const Dim& d) { return d.is_constant(1); });
}

// One number, or a list.
bool is_list(const Value* value) { return is_single(value) || (value->type.shape && value->type.rank() == 1); }

bool has_f32_codes(const Rewrite& r) {
  for (size_t i : {1, 4, 6}) {
    if (r.operand(i)->type.dtype != DType::kF32 || !is_quantized_integer(r.operand(i == 6 ? 7 : i + 1)->type.dtype)) return false;
  }
  return is_single(r.operand(1)) && is_single(r.operand(2)) && is_list(r.operand(4)) && is_list(r.operand(5));
}

Value* qlinear_convolution(Rewrite& r) {
  if (!has_f32_codes(r)) return nullptr;
  std::vector<Value*> operands = {decoded(r, 0, 1), decoded(r, 3, 0)};
  if (r.operand(8)) {
    const Tensor *x = r.operand(1)->constant(), *w = r.operand(4)->constant();
    if (!x || !w) return nullptr;
    std::vector<float> scales;
    for (int64_t i = 0; i < w->elements(); ++i) scales.push_back(static_cast<float>(x->double_at(0) * w->double_at(i)));
    const bool one = scales.size() == 1;
    Value* scale = r.b.constant(Tensor::from<float>(one ? std::vector<int64_t>{} : w->extents(), scales));
    operands.push_back(r.b.op("DequantizeLinear", {r.operand(8), scale}, {{"axis", int64_t{0}}}));
  }
  Value* y = r.b.op("Conv", std::move(operands), r.node->attrs);
  return r.b.op("QuantizeLinear", {y, r.operand(6), r.operand(7)});
}

Value* qlinear_product(Rewrite& r) {
  const Type& w = r.operand(3)->type;
  if (!has_f32_codes(r) || !w.shape || w.rank() < 2) return nullptr;
  Value* y = r.b.matmul(decoded(r, 0, 1), decoded(r, 3, w.rank() - 1));
  return r.b.op("QuantizeLinear", {y, r.operand(6), r.operand(7)});
}

// Weights less their zero points, where these are numbers of 8 bits.
Value* signed_weights(Rewrite& r, int64_t axis) {
  if (!r.operand(1)->constant() || (r.operand(3) && !r.operand(3)->constant())) return nullptr;
  const bool centred = r.operand(1)->type.dtype == DType::kI8 && (!r.operand(3) || constant_number(r.operand(3)) == 0.0);
  if ((centred && !r.operand(3)) || (r.operand(3) && !is_list(r.operand(3)))) return nullptr;
  const Tensor ones = Tensor::from<float>(
      r.operand(3) ? r.operand(3)->constant()->extents() : std::vector<int64_t>{},
      std::vector<float>(r.operand(3) ? static_cast<size_t>(r.operand(3)->constant()->elements()) : 1, 1.0f));
  Value* decoder = r.b.op("DequantizeLinear", {r.operand(1), r.b.constant(ones), r.operand(3)}, {{"axis", axis}});
  if (!r.b.status().ok()) return nullptr;
  const Result<CodedConstant> weights = coded_constant(decoder, axis);
  if (!weights.ok()) return nullptr;
  return r.b.op(r.node->op().name, {r.operand(0), r.b.constant(weights->elements), r.operand(2)}, r.node->attrs);
}

Value* integer_convolution(Rewrite& r) { return signed_weights(r, 0); }
Value* integer_product(Rewrite& r) {
  return r.operand(1)->type.shape && r.operand(1)->type.rank() == 2 ? signed_weights(r, 1) : nullptr;
}

constexpr RewriteRow kRules[] = {
    {"QLinearConv", qlinear_convolution}, {"QLinearMatMul", qlinear_product}, {"ConvInteger", integer_convolution},
    {"MatMulInteger", integer_product},
    {"Transpose", move_codes},   {"Reshape", move_codes},  {"Flatten", move_codes},          {"Squeeze", move_codes},
    {"Unsqueeze", move_codes},   {"Slice", move_codes},    {"Gather", move_codes},           {"Identity", move_codes},
    {"Expand", move_codes},      {"MaxPool", pool_codes},  {"Concat", join_codes},           {"QuantizeLinear", same_code},
    {"QuantizeLinear", bounded_by_code}, {"QuantizeLinear", encoded_constant},
};

}  // namespace

Result<bool> simplify_quantization(Graph& graph, PassContext&) { return rewrite_graph(graph, kRules); }

}  // namespace gannet
