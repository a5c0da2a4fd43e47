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
