// Elementwise ops: broadcasting by attributes, bounds by attributes, activations of early exporters.
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "frontend/upgrades.h"

namespace gannet::upgrades {

// Before opset 7 the second operand was placed at `axis` of the first; now it aligns with the last axes.
Status explicit_broadcast(UpgradeContext& c) {
  int64_t broadcast = TRY(c.attrs.take_or<int64_t>("broadcast", 0));
  std::optional<int64_t> axis = TRY(c.attrs.take<int64_t>("axis"));
  if (broadcast == 0 || !axis || !c.operand(0) || !c.operand(1)) return {};
  const Shape* x = c.shape(0);
  const Shape* y = c.shape(1);
  if (!x || !y) return unsupported("broadcasting at an axis needs operands of known rank");
  int64_t rank = static_cast<int64_t>(x->size());
  int64_t first = *axis < 0 ? *axis + rank : *axis;
  int64_t trailing = rank - first - static_cast<int64_t>(y->size());
  if (first < 0 || trailing < 0) {
    return invalid_model(fmt::format("an operand of rank {} does not fit at axis {} of one of rank {}",
                                     y->size(), *axis, rank));
  }
  if (trailing > 0) c.set_operand(1, append_unit_axes(c, c.operand(1), trailing));
  return {};
}

// A slope for each channel stood along axis 1.
Status channel_slope(UpgradeContext& c) {
  const Shape* x = c.shape(0);
  const Shape* slope = c.shape(1);
  if (!slope || slope->size() != 1 || (*slope)[0].is_constant(1)) return {};
  if (!x) return unsupported("a slope for each channel needs an input of known rank");
  int64_t trailing = static_cast<int64_t>(x->size()) - 2;
  if (trailing > 0) c.set_operand(1, append_unit_axes(c, c.operand(1), trailing));
  return {};
}

Status clip_attrs(UpgradeContext& c) {
  std::optional<float> low = TRY(c.attrs.take<float>("min"));
  std::optional<float> high = TRY(c.attrs.take<float>("max"));
  const Value* x = c.operand(0);
  constexpr float kLargest = std::numeric_limits<float>::max();
  // From opset 6 on an absent bound was the largest float, which keeps infinities out.
  if (c.opset >= 6 && !low) low = -kLargest;
  if (c.opset >= 6 && !high) high = kLargest;
  bool narrow = x && (x->type.dtype == DType::kF16 || x->type.dtype == DType::kBF16);
  auto is_bound = [&](const std::optional<float>& bound) {
    return bound && std::isfinite(*bound) && !(narrow && std::fabs(*bound) == kLargest);
  };
  if (is_bound(low)) c.set_operand(1, c.number(*low, x));
  if (is_bound(high)) c.set_operand(2, c.number(*high, x));
  return {};
}

Status selu_defaults(UpgradeContext& c) {
  if (!c.attrs.has("alpha")) c.attrs.set("alpha", 1.6732f);
  if (!c.attrs.has("gamma")) c.attrs.set("gamma", 1.0507f);
  return {};
}

// `to` was the name of a TensorProto.DataType.
Status cast_name(UpgradeContext& c) {
  const auto* name = c.attrs.get<std::string>("to");
  if (!name) return {};
  constexpr std::pair<std::string_view, DType> kNames[] = {
      {"FLOAT", DType::kF32},   {"UINT8", DType::kU8},      {"INT8", DType::kI8},
      {"UINT16", DType::kU16},  {"INT16", DType::kI16},     {"INT32", DType::kI32},
      {"INT64", DType::kI64},   {"STRING", DType::kString}, {"BOOL", DType::kBool},
      {"FLOAT16", DType::kF16}, {"DOUBLE", DType::kF64},    {"UINT32", DType::kU32},
      {"UINT64", DType::kU64},  {"COMPLEX64", DType::kC64}, {"COMPLEX128", DType::kC128}};
  for (const auto& [text, dtype] : kNames) {
    if (text != *name) continue;
    c.attrs.set("to", static_cast<int64_t>(dtype));
    return {};
  }
  return invalid_model(fmt::format("attribute 'to' is '{}', which is no element type", *name));
}

Status affine(UpgradeContext& c) {
  Value* x = TRY(required(c, 0));
  float alpha = TRY(c.attrs.take_or<float>("alpha", 1));
  float beta = TRY(c.attrs.take_or<float>("beta", 0));
  Value* scaled = c.b.mul(x, c.number(alpha, x));
  c.set(0, c.b.add(scaled, c.number(beta, x)));
  return {};
}

Status image_scaler(UpgradeContext& c) {
  Value* x = TRY(required(c, 0));
  float scale = TRY(c.attrs.take_or<float>("scale", 1));
  std::vector<float> bias = TRY(c.attrs.take_or<std::vector<float>>("bias", {}));
  Value* scaled = c.b.mul(x, c.number(scale, x));
  Value* offset = c.b.constant(Tensor::from<float>({static_cast<int64_t>(bias.size()), 1, 1}, bias));
  DType dtype = x->type.dtype == DType::kUndefined ? DType::kF32 : x->type.dtype;
  c.set(0, c.b.add(scaled, c.b.cast(offset, dtype)));
  return {};
}

Status parametric_softplus(UpgradeContext& c) {
  Value* x = TRY(required(c, 0));
  float alpha = TRY(c.attrs.take_or<float>("alpha", 1));
  float beta = TRY(c.attrs.take_or<float>("beta", 1));
  Value* inner = c.b.op("Softplus", {c.b.mul(x, c.number(beta, x))});
  c.set(0, c.b.mul(inner, c.number(alpha, x)));
  return {};
}

Status scaled_tanh(UpgradeContext& c) {
  Value* x = TRY(required(c, 0));
  float alpha = TRY(c.attrs.take_or<float>("alpha", 1));
  float beta = TRY(c.attrs.take_or<float>("beta", 1));
  Value* inner = c.b.op("Tanh", {c.b.mul(x, c.number(beta, x))});
  c.set(0, c.b.mul(inner, c.number(alpha, x)));
  return {};
}

}  // namespace gannet::upgrades
