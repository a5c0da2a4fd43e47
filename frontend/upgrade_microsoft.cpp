// Ops of ONNX Runtime's domain that are ONNX ops, or compositions of them.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "frontend/upgrades.h"

namespace gannet::upgrades {
namespace {

constexpr float kLayerEpsilon = 1e-5f;
constexpr float kSkipEpsilon = 1e-12f;

// The last two axes exchanged.
Result<Value*> transpose_matrix(UpgradeContext& c, Value* x) {
  if (!x->type.shape || x->type.rank() < 2)
    return unsupported("transposing needs an operand of known rank, at least 2");
  std::vector<int64_t> permutation(x->type.shape->size());
  for (size_t i = 0; i < permutation.size(); ++i) permutation[i] = static_cast<int64_t>(i);
  std::swap(permutation[permutation.size() - 1], permutation[permutation.size() - 2]);
  return c.b.transpose(x, std::move(permutation));
}

// An operand stored [m, batch..., n], with its rows outside the batch, as [batch..., m, n].
Result<Value*> batch_from_rows(UpgradeContext& c, Value* x) {
  if (!x->type.shape || x->type.rank() < 2)
    return unsupported("transposing needs an operand of known rank, at least 2");
  std::vector<int64_t> permutation;
  const int64_t rank = x->type.rank();
  for (int64_t i = 1; i < rank - 1; ++i) permutation.push_back(i);
  permutation.push_back(0);
  permutation.push_back(rank - 1);
  return c.b.transpose(x, std::move(permutation));
}

struct SkipOperands {
  Value* sum = nullptr;
  Value* scale = nullptr;
};

// input + skip + bias, where the bias is operand `bias`.
Result<SkipOperands> add_skip(UpgradeContext& c, size_t bias) {
  Value* x = TRY(required(c, 0));
  Value* skip = TRY(required(c, 1));
  Value* scale = TRY(required(c, 2));
  Value* sum = c.b.add(x, skip);
  if (Value* addend = c.operand(bias)) sum = c.b.add(sum, addend);
  return SkipOperands{sum, scale};
}

void set_layer_normalization(UpgradeContext& c, Value* x, Value* scale, Value* bias, float epsilon) {
  std::vector<Value*> operands = {x, scale};
  if (bias) operands.push_back(bias);
  size_t count = c.wants(2) ? 3 : c.wants(1) ? 2 : 1;
  auto results = c.b.op_n("LayerNormalization", std::move(operands),
                          {{"axis", int64_t{-1}}, {"epsilon", epsilon}}, count);
  for (size_t i = 0; i < results.size(); ++i) c.set(i, results[i]);
}

}  // namespace

Status same_as_onnx(UpgradeContext&) { return {}; }

Status contrib_layer_normalization(UpgradeContext&) { return {}; }

Status simplified_layer_normalization(UpgradeContext& c) {
  c.op = "RMSNormalization";
  return {};
}

Status expand_dims(UpgradeContext& c) {
  c.op = "Unsqueeze";
  return {};
}

Status fast_gelu(UpgradeContext& c) {
  Value* x = TRY(required(c, 0));
  if (Value* bias = c.operand(1)) x = c.b.add(x, bias);
  c.set(0, c.b.op("Gelu", {x}, {{"approximate", std::string("tanh")}}));
  return {};
}

Status bias_gelu(UpgradeContext& c) {
  Value* x = TRY(required(c, 0));
  Value* bias = TRY(required(c, 1));
  c.set(0, c.b.op("Gelu", {c.b.add(x, bias)}));
  return {};
}

Status quick_gelu(UpgradeContext& c) {
  Value* x = TRY(required(c, 0));
  float alpha = TRY(c.attrs.take_or<float>("alpha", 1.702f));
  c.set(0, c.b.op("Swish", {x}, {{"alpha", alpha}}));
  return {};
}

Status skip_layer_normalization(UpgradeContext& c) {
  float epsilon = TRY(c.attrs.take_or<float>("epsilon", kSkipEpsilon));
  SkipOperands skip = TRY(add_skip(c, 4));
  set_layer_normalization(c, skip.sum, skip.scale, c.operand(3), epsilon);
  c.set(3, skip.sum);
  return {};
}

Status skip_simplified_layer_normalization(UpgradeContext& c) {
  float epsilon = TRY(c.attrs.take_or<float>("epsilon", kLayerEpsilon));
  SkipOperands skip = TRY(add_skip(c, 3));
  c.set(0, c.b.op("RMSNormalization", {skip.sum, skip.scale}, {{"axis", int64_t{-1}}, {"epsilon", epsilon}}));
  c.set(3, skip.sum);
  return {};
}

// The sum of word, position and (where given) segment embeddings, normalized.
Status embed_layer_normalization(UpgradeContext& c) {
  float epsilon = TRY(c.attrs.take_or<float>("epsilon", kSkipEpsilon));
  Value* ids = TRY(required(c, 0));
  Value* words = TRY(required(c, 2));
  Value* positions = TRY(required(c, 3));
  Value* scale = TRY(required(c, 5));
  Value* bias = TRY(required(c, 6));
  auto extent = [&](int64_t axis) { return c.b.op("Shape", {ids}, {{"start", axis}, {"end", axis + 1}}); };
  Value* sum = c.b.op("Gather", {words, ids});
  if (Value* position_ids = c.operand(8)) {
    sum = c.b.add(sum, c.b.op("Gather", {positions, position_ids}));
  } else {
    sum = c.b.add(sum, c.b.op("Slice", {positions, c.b.ints({0}), extent(1), c.b.ints({0})}));
  }
  Value* segment_ids = c.operand(1);
  Value* segments = c.operand(4);
  if (segment_ids && segments) sum = c.b.add(sum, c.b.op("Gather", {segments, segment_ids}));
  c.set(0, c.b.op("LayerNormalization", {sum, scale, bias}, {{"axis", int64_t{-1}}, {"epsilon", epsilon}}));
  if (c.wants(1)) {
    Value* mask = c.operand(7);
    Value* zero = c.b.constant(Tensor::scalar_of(DType::kI32, 0));
    c.set(1, mask ? c.b.reduce_sum(mask, {1}, false) : c.b.op("Expand", {zero, extent(0)}));
  }
  c.set(2, sum);
  return {};
}

Status fused_matmul(UpgradeContext& c) {
  Value* x = TRY(required(c, 0));
  Value* y = TRY(required(c, 1));
  float alpha = TRY(c.attrs.take_or<float>("alpha", 1));
  if (TRY(c.attrs.take_or<int64_t>("transBatchA", 0)) != 0) x = TRY(batch_from_rows(c, x));
  if (TRY(c.attrs.take_or<int64_t>("transBatchB", 0)) != 0) y = TRY(batch_from_rows(c, y));
  if (TRY(c.attrs.take_or<int64_t>("transA", 0)) != 0) x = TRY(transpose_matrix(c, x));
  if (TRY(c.attrs.take_or<int64_t>("transB", 0)) != 0) y = TRY(transpose_matrix(c, y));
  Value* product = c.b.matmul(x, y);
  c.set(0, alpha == 1 ? product : c.b.mul(product, c.number(alpha, product)));
  return {};
}

Result<Value*> activate(UpgradeContext& c, Value* x, const std::string& name,
                        const std::vector<float>& parameters) {
  auto parameter = [&](size_t i, float otherwise) {
    return i < parameters.size() ? parameters[i] : otherwise;
  };
  if (name.empty()) return x;
  if (name == "Relu" || name == "Tanh" || name == "Sigmoid" || name == "Softplus" || name == "Softsign") {
    return c.b.op(name, {x});
  }
  if (name == "LeakyRelu") return c.b.op(name, {x}, {{"alpha", parameter(0, 0.01f)}});
  if (name == "HardSigmoid") {
    return c.b.op(name, {x}, {{"alpha", parameter(0, 0.2f)}, {"beta", parameter(1, 0.5f)}});
  }
  if (name == "Clip") {
    Value* low = c.number(parameter(0, 0), x);
    return c.b.op(name, {x, low, c.number(parameter(1, 6), x)});
  }
  return unsupported(fmt::format("the activation '{}'", name));
}

Status fused_conv(UpgradeContext& c) {
  std::string activation = TRY(c.attrs.take_or<std::string>("activation", ""));
  std::vector<float> parameters = TRY(c.attrs.take_or<std::vector<float>>("activation_params", {}));
  std::vector<std::string> ignored;
  Attributes attrs = TRY(bind_attributes(op_named("Conv"), c.attrs, ignored));
  std::vector<Value*> operands = {TRY(required(c, 0)), TRY(required(c, 1))};
  if (Value* bias = c.operand(2)) operands.push_back(bias);
  Value* y = c.b.op("Conv", std::move(operands), std::move(attrs));
  if (Value* addend = c.operand(3)) y = c.b.add(y, addend);
  c.set(0, TRY(activate(c, y, activation, parameters)));
  return {};
}

Status fused_gemm(UpgradeContext& c) {
  std::string activation = TRY(c.attrs.take_or<std::string>("activation", ""));
  std::vector<float> parameters;
  for (std::string_view name : {"activation_alpha", "activation_beta", "activation_gamma"}) {
    std::optional<float> value = TRY(c.attrs.take<float>(name));
    if (value) parameters.push_back(*value);
  }
  std::vector<std::string> ignored;
  Attributes attrs = TRY(bind_attributes(op_named("Gemm"), c.attrs, ignored));
  c.set(0, TRY(activate(c, c.b.op("Gemm", c.operands, std::move(attrs)), activation, parameters)));
  return {};
}

}  // namespace gannet::upgrades
