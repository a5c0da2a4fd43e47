// Quantized ops of ONNX Runtime as dequantize, compute, quantize; and ai.onnx.ml's ops on plain tensors.
#include <fmt/format.h>

#include "frontend/upgrades.h"

namespace gannet::upgrades {
namespace {

// Operands i, i+1 and i+2 are a quantized tensor, its scale and its zero point (which may be absent).
Result<Value*> dequantize(UpgradeContext& c, size_t i) {
  std::vector<Value*> operands = {TRY(required(c, i)), TRY(required(c, i + 1))};
  if (Value* zero_point = c.operand(i + 2)) operands.push_back(zero_point);
  return c.b.op("DequantizeLinear", std::move(operands));
}

// Operands i and i+1 are the scale and zero point of the result.
Result<Value*> quantize(UpgradeContext& c, Value* x, size_t i) {
  std::vector<Value*> operands = {x, TRY(required(c, i))};
  if (Value* zero_point = c.operand(i + 1)) operands.push_back(zero_point);
  return c.b.op("QuantizeLinear", std::move(operands));
}

std::string without_prefix(const std::string& op) { return op.substr(std::string_view("QLinear").size()); }

}  // namespace

Status qlinear_binary(UpgradeContext& c) {
  Value* x = TRY(dequantize(c, 0));
  Value* y = TRY(dequantize(c, 3));
  c.set(0, TRY(quantize(c, c.b.op(without_prefix(c.op), {x, y}), 6)));
  return {};
}

Status qlinear_unary(UpgradeContext& c) {
  Attributes attrs;
  if (std::optional<float> alpha = TRY(c.attrs.take<float>("alpha")))
    attrs.set("alpha", *alpha);
  else if (c.op == "QLinearLeakyRelu")
    attrs.set("alpha", 0.01f);
  Value* x = TRY(dequantize(c, 0));
  c.set(0, TRY(quantize(c, c.b.op(without_prefix(c.op), {x}, std::move(attrs)), 3)));
  return {};
}

Status qlinear_pool(UpgradeContext& c) {
  if (TRY(c.attrs.take_or<int64_t>("channels_last", 0)) != 0) return unsupported("channels_last");
  std::string op = without_prefix(c.op);
  std::vector<std::string> ignored;
  Attributes attrs = TRY(bind_attributes(op_named(op), c.attrs, ignored));
  Value* x = TRY(dequantize(c, 0));
  c.set(0, TRY(quantize(c, c.b.op(op, {x}, std::move(attrs)), 3)));
  return {};
}

// (y_scale, y_zero_point, then tensor, scale and zero point of each part)
Status qlinear_concat(UpgradeContext& c) {
  std::optional<int64_t> axis = TRY(c.attrs.take<int64_t>("axis"));
  if (!axis) return invalid_model("attribute 'axis' is missing");
  if (c.operands.size() < 5 || (c.operands.size() - 2) % 3 != 0) {
    return invalid_model(fmt::format("takes 2 inputs and 3 for each part, got {}", c.operands.size()));
  }
  std::vector<Value*> parts;
  for (size_t i = 2; i < c.operands.size(); i += 3) parts.push_back(TRY(dequantize(c, i)));
  c.set(0, TRY(quantize(c, c.b.concat(std::move(parts), *axis), 0)));
  return {};
}

// Before opset 13 of Softmax, which the attribute states, all axes from `axis` on are one.
Status qlinear_softmax(UpgradeContext& c) {
  const int64_t opset = TRY(c.attrs.take_or<int64_t>("opset", 13));
  int64_t axis = TRY(c.attrs.take_or<int64_t>("axis", opset < 13 ? 1 : -1));
  Value* x = TRY(dequantize(c, 0));
  if (opset >= 13) {
    c.set(0, TRY(quantize(c, c.b.op("Softmax", {x}, {{"axis", axis}}), 3)));
    return {};
  }
  if (!x->type.shape) return unsupported("a Softmax of opset 12 over an operand of unknown rank");
  const Shape shape = *x->type.shape;
  Value* rows = c.b.op("Flatten", {x}, {{"axis", axis}});
  Value* y = c.b.reshape(c.b.op("Softmax", {rows}, {{"axis", int64_t{1}}}), shape);
  c.set(0, TRY(quantize(c, y, 3)));
  return {};
}

namespace {

// The product of two scales and a factor, known where they are.
Value* scale_product(UpgradeContext& c, Value* x, Value* y, float factor) {
  const Tensor *a = x->constant(), *b = y->constant();
  const bool known = a && b && a->dtype() == DType::kF32 && b->dtype() == DType::kF32 && a->elements() == 1;
  if (!known) {
    Value* product = c.b.mul(x, y);
    return factor == 1 ? product : c.b.mul(product, c.b.number(static_cast<double>(factor), product));
  }
  std::vector<float> scales(b->data<float>().begin(), b->data<float>().end());
  for (float& scale : scales) scale *= a->data<float>()[0] * factor;
  return c.b.constant(Tensor::from<float>(b->extents(), scales));
}

}  // namespace

// (a, scale, zero point, b, scale, zero point, bias in 32 bits, scale and zero point of the result or f32)
Status quantized_gemm(UpgradeContext& c) {
  const float alpha = TRY(c.attrs.take_or<float>("alpha", 1.0f));
  const int64_t trans_a = TRY(c.attrs.take_or<int64_t>("transA", 0));
  const int64_t trans_b = TRY(c.attrs.take_or<int64_t>("transB", 0));
  std::vector<Value*> weights = {TRY(required(c, 3)), TRY(required(c, 4))};
  if (Value* zero_point = c.operand(5)) weights.push_back(zero_point);
  const int64_t columns = trans_b != 0 ? 0 : 1;
  std::vector<Value*> operands = {TRY(dequantize(c, 0)), c.b.op("DequantizeLinear", weights, {{"axis", columns}})};
  if (Value* bias = c.operand(6)) {
    Value* scale = scale_product(c, TRY(required(c, 1)), TRY(required(c, 4)), alpha);
    operands.push_back(c.b.op("DequantizeLinear", {bias, scale}, {{"axis", int64_t{0}}}));
  }
  Value* y = c.b.op("Gemm", std::move(operands), {{"alpha", alpha}, {"transA", trans_a}, {"transB", trans_b}});
  c.set(0, c.operand(7) ? TRY(quantize(c, y, 7)) : y);
  return {};
}

Status dynamic_quantize_matmul(UpgradeContext& c) {
  Value* x = TRY(required(c, 0));
  std::vector<Value*> weight = {TRY(required(c, 1)), TRY(required(c, 2))};
  if (Value* zero_point = c.operand(3)) weight.push_back(zero_point);
  auto quantized = c.b.op_n("DynamicQuantizeLinear", {x}, {}, 3);
  Value* rounded = c.b.op("DequantizeLinear", {quantized[0], quantized[1], quantized[2]});
  Value* y = c.b.matmul(rounded, c.b.op("DequantizeLinear", std::move(weight)));
  if (Value* bias = c.operand(4)) y = c.b.add(y, bias);
  c.set(0, y);
  return {};
}

Status matmul_integer_to_float(UpgradeContext& c) {
  Value* x = TRY(required(c, 0));
  Value* y = TRY(required(c, 1));
  std::vector<Value*> left = {x, TRY(required(c, 2))}, right = {y, TRY(required(c, 3))};
  if (Value* zero_point = c.operand(4)) left.push_back(zero_point);
  if (Value* zero_point = c.operand(5)) right.push_back(zero_point);
  Value* product =
      c.b.matmul(c.b.op("DequantizeLinear", std::move(left)), c.b.op("DequantizeLinear", std::move(right)));
  if (Value* bias = c.operand(6)) product = c.b.add(product, bias);
  c.set(0, product);
  return {};
}

Status ml_scaler(UpgradeContext& c) {
  Value* x = c.b.cast(TRY(required(c, 0)), DType::kF32);
  std::vector<float> offset = TRY(c.attrs.take_or<std::vector<float>>("offset", {}));
  std::vector<float> scale = TRY(c.attrs.take_or<std::vector<float>>("scale", {}));
  auto row = [&](const std::vector<float>& values) {
    return c.b.constant(Tensor::from<float>({static_cast<int64_t>(values.size())}, values));
  };
  if (!offset.empty()) x = c.b.sub(x, row(offset));
  if (!scale.empty()) x = c.b.mul(x, row(scale));
  c.set(0, x == c.operand(0) ? c.b.op("Identity", {x}) : x);
  return {};
}

Status ml_linear_regressor(UpgradeContext& c) {
  Value* x = c.b.cast(TRY(required(c, 0)), DType::kF32);
  std::vector<float> weights = TRY(c.attrs.take_or<std::vector<float>>("coefficients", {}));
  std::vector<float> intercepts = TRY(c.attrs.take_or<std::vector<float>>("intercepts", {}));
  int64_t targets = TRY(c.attrs.take_or<int64_t>("targets", 1));
  std::string transform = TRY(c.attrs.take_or<std::string>("post_transform", "NONE"));
  if (transform != "NONE") return unsupported(fmt::format("post_transform '{}'", transform));
  int64_t count = static_cast<int64_t>(weights.size());
  if (targets < 1 || count == 0 || count % targets != 0) {
    return invalid_model(fmt::format("{} coefficients for {} targets", count, targets));
  }
  Value* matrix = c.b.constant(Tensor::from<float>({targets, count / targets}, weights));
  Value* y = c.b.matmul(x, c.b.transpose(matrix, {1, 0}));
  if (!intercepts.empty()) {
    y = c.b.add(y, c.b.constant(Tensor::from<float>({static_cast<int64_t>(intercepts.size())}, intercepts)));
  }
  c.set(0, y);
  return {};
}

}  // namespace gannet::upgrades
