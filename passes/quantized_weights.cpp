#include "passes/quantized_weights.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "ir/builder.h"
#include "ir/evaluate_op.h"
#include "ir/gradient_rule.h"
#include "ir/op.h"
#include "ir/ops/quantization_grid.h"
#include "ir/ops/quantize.h"

namespace gannet {

namespace {

bool is_wide_code(DType dtype) { return dtype == DType::kI32; }

// A value that follows from constants through a few nodes, such as the product of two scales.
std::optional<Tensor> known(const Value* value, int depth = 4) {
  if (!value) return Tensor();
  if (const Tensor* constant = value->constant()) return *constant;
  const Node* node = value->producer();
  if (!node || depth == 0 || node->outputs().size() != 1) return std::nullopt;
  std::vector<Tensor> operands;
  for (const Value* operand : node->inputs()) {
    std::optional<Tensor> tensor = known(operand, depth - 1);
    if (!tensor) return std::nullopt;
    operands.push_back(*std::move(tensor));
  }
  Result<Tensor> result = evaluate_op(node->op().name, operands, node->attrs);
  return result.ok() ? std::optional(*std::move(result)) : std::nullopt;
}

bool has_code_weight(const Node& node) {
  const Value* weight = node.input(3);
  return (node.op().name == "QLinearConv" || node.op().name == "QLinearMatMul") && weight && weight->constant() && weight->origin;
}

// Layers on codes, whose parameters are operands of their own, as layers on numbers between conversions.
Status expand_layers(Graph& graph) {
  std::vector<Node*> layers;
  for (const auto& node : graph.nodes()) {
    if (has_code_weight(*node)) layers.push_back(node.get());
  }
  for (Node* node : layers) {
    GraphBuilder builder(graph, node, node->name);
    DecomposeContext context(builder, node->attrs, {node->inputs().begin(), node->inputs().end()}, 1);
    Status status = gradient_rule(node->op()).for_gradient(context);
    if (status.ok()) status = builder.status();
    if (!status.ok()) return with_prefix(describe(*node), status.error());
    graph.replace_uses(node->output(), context.outputs()[0]);
    graph.erase(node);
  }
  return {};
}

bool same(const Tensor& x, const Tensor& y) { return x.defined() == y.defined() && (!x.defined() || x.identical(y)); }

// How the codes are read, when all that read them are DequantizeLinear nodes of one kind.
std::optional<QuantizedWeight> reading_of(const Value& codes) {
  std::optional<QuantizedWeight> reading;
  for (const Use& use : codes.uses()) {
    const Node& node = *use.node;
    if (node.op().name != "DequantizeLinear" || use.index != 0) return std::nullopt;
    std::optional<Tensor> scale = known(node.input(1)), zero = known(node.input(2));
    if (!scale || !zero) return std::nullopt;
    if (!reading) reading = QuantizedWeight{"", *codes.origin, node.attrs, codes.type.dtype, *scale, *zero};
    if (!same(reading->scale, *scale) || !same(reading->zero_point, *zero) || !(reading->attrs == node.attrs)) return std::nullopt;
  }
  return reading;
}

Attributes attrs_to_quantize(const QuantizedWeight& weight) {
  Attributes attrs = {{"axis", weight.attrs.integer("axis")}, {"block_size", weight.attrs.integer("block_size")}};
  if (!weight.zero_point.defined()) attrs.set("output_dtype", weight.code);
  return attrs;
}

Status open(Graph& graph, Value* codes, const QuantizedWeight& weight, const Tensor& numbers) {
  Value* master = graph.add_constant(numbers, codes->name, codes->producer());
  master->origin = codes->origin;
  const std::vector<Use> uses(codes->uses().begin(), codes->uses().end());
  for (const Use& use : uses) {
    if (is_wide_code(weight.code)) {
      graph.replace_uses(use.node->output(), master);
      graph.erase(use.node);
      continue;
    }
    GraphBuilder b(graph, use.node, use.node->name);
    Value* rounded = b.op("QuantizeLinear", {master, use.node->input(1), use.node->input(2)}, attrs_to_quantize(weight));
    TRY(Status(b.status()));
    graph.set_operand(use.node, 0, rounded);
  }
  graph.erase(codes->producer());
  return {};
}

Result<Tensor> to_wide_codes(const QuantizedWeight& weight, const Tensor& numbers) {
  Tensor codes = TRY(Tensor::allocate(weight.code, numbers.extents()));
  std::span<int32_t> out = codes.mutable_data<int32_t>();
  const Tensor scale = TRY(convert(weight.scale, DType::kF64));
  quantization_grid(weight.attrs, numbers.extents(), scale.extents()).for_each_run([&](int64_t first, int64_t parameter, int64_t count, int64_t step) {
    for (int64_t i = 0; i < count; ++i) {
      const int64_t p = parameter + i * step, zero = weight.zero_point.defined() ? weight.zero_point.int_at(p) : 0;
      const double code = std::nearbyint(numbers.double_at(first + i) / scale.double_at(p)) + static_cast<double>(zero);
      out[static_cast<size_t>(first + i)] = static_cast<int32_t>(std::clamp(code == code ? code : 0.0, -2147483648.0, 2147483647.0));
    }
  });
  return codes;
}

bool is_code(const Value* value) {
  return value && value->constant() && value->origin && (is_quantized(value->type.dtype) || is_wide_code(value->type.dtype));
}

}  // namespace

Result<std::vector<QuantizedWeight>> open_quantized_weights(Graph& graph) {
  TRY(expand_layers(graph));
  std::vector<Value*> candidates;
  for (const auto& node : graph.nodes()) {
    if (node->op().name == "Constant" && is_code(node->output())) candidates.push_back(node->output());
  }
  std::vector<QuantizedWeight> weights;
  for (Value* codes : candidates) {
    const std::optional<QuantizedWeight> weight = codes->uses().empty() ? std::nullopt : reading_of(*codes);
    if (!weight || graph.is_result(codes)) continue;
    const Tensor numbers = TRY(evaluate_op("DequantizeLinear", std::array{*codes->constant(), weight->scale, weight->zero_point}, weight->attrs));
    const bool returns = is_wide_code(weight->code) || TRY(quantize_again(*weight, numbers)).identical(*codes->constant());
    if (!returns) continue;
    TRY(open(graph, codes, *weight, numbers));
    weights.push_back(*weight);
  }
  return weights;
}

Result<Tensor> quantize_again(const QuantizedWeight& weight, const Tensor& numbers) {
  if (is_wide_code(weight.code)) return to_wide_codes(weight, numbers);
  return evaluate_op("QuantizeLinear", std::array{numbers, weight.scale, weight.zero_point}, attrs_to_quantize(weight));
}

std::vector<std::string> names_of_codes(const Graph& graph) {
  std::vector<std::string> names;
  for (const auto& node : graph.nodes()) {
    const Value* codes = node->op().name == "DequantizeLinear" ? node->input(0) : nullptr;
    if (!codes || !codes->constant() || !codes->origin || codes->constant()->elements() <= 1) continue;
    if (std::ranges::find(names, codes->origin->name) == names.end()) names.push_back(codes->origin->name);
  }
  return names;
}

}  // namespace gannet
