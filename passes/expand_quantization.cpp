// QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear over f32 become arithmetic of their elements, which joins
// what is around it. Only for inference: QuantizeLinear has a gradient of its own, its arithmetic has none.
#include <numeric>

#include "ir/builder.h"
#include "ir/op.h"
#include "ir/quantize_scalar.h"
#include "passes/pass.h"

namespace gannet {
namespace {

ScalarExpr arg(int i) { return ScalarExpr::arg(i); }

bool is_zero(const Value* value) {
  const Tensor* tensor = value->constant();
  if (!tensor) return false;
  for (int64_t i = 0; i < tensor->elements(); ++i) {
    if (tensor->double_at(i) != 0) return false;
  }
  return true;
}

// What broadcasts as the parameters of `node` do: a scalar, or one number for each index of the axis.
std::optional<Shape> parameter_shape(const Node& node) {
  const Value *x = node.input(0), *scale = node.input(1);
  if (!x->type.shape || !scale->type.shape || node.attrs.integer("block_size") != 0) return std::nullopt;
  const Shape& given = *scale->type.shape;
  if (given.empty() || (given.size() == 1 && given[0].is_constant(1))) return Shape{};
  if (given.size() != 1 || !given[0].is_constant()) return std::nullopt;
  const int64_t rank = x->type.rank();
  int64_t axis = rank == 1 ? 0 : node.attrs.integer("axis");
  if (axis < 0) axis += rank;
  if (axis < 0 || axis >= rank || (*x->type.shape)[static_cast<size_t>(axis)] != given[0]) return std::nullopt;
  Shape shape(static_cast<size_t>(rank - axis), Dim(1));
  shape[0] = given[0];
  return shape;
}

// Why `node` stays; empty when it goes.
std::string obstacle(const Node& node) {
  const bool quantizes = node.op().name == "QuantizeLinear";
  const DType whole = quantizes ? node.output()->type.dtype : node.input(0)->type.dtype;
  const DType real = quantizes ? node.input(0)->type.dtype : node.output()->type.dtype;
  const bool sums = !quantizes && whole == DType::kI32;
  if (!is_quantized_integer(whole) && !sums) return fmt::format("{} elements", name_of(whole));
  if (real != DType::kF32) return fmt::format("{} elements", name_of(real));
  if (node.input(1)->type.dtype != DType::kF32) return fmt::format("a scale in {}", name_of(node.input(1)->type.dtype));
  if (quantizes) {
    const DType precision = node.attrs.dtype("precision");
    if (precision != DType::kUndefined && precision != DType::kF32) return fmt::format("division in {}", name_of(precision));
  }
  return parameter_shape(node) ? "" : "blocks, or extents that are not known";
}

Value* expanded(GraphBuilder& b, const Node& node) {
  const Shape shape = *parameter_shape(node);
  auto parameter = [&](Value* value) -> Value* {
    if (!value->constant()) return b.reshape(value, shape);
    std::vector<int64_t> extents;
    for (const Dim& dim : shape) extents.push_back(dim.constant());
    return b.constant(value->constant()->reshaped(extents));
  };
  Value* zero = node.input(2);
  std::vector<Value*> operands = {node.input(0), parameter(node.input(1))};
  const bool shifts = zero && !is_zero(zero);
  if (shifts) operands.push_back(parameter(zero));
  if (node.op().name == "QuantizeLinear") {
    const ScalarExpr shift = shifts ? cast(arg(2), DType::kF32) : ScalarExpr(0.0);
    return b.map(quantize_scalar(arg(0) / arg(1), shift, node.output()->type.dtype), std::move(operands));
  }
  // The difference of two i32 is exact in f64.
  const DType difference = node.input(0)->type.dtype == DType::kI32 ? DType::kF64 : DType::kF32;
  const ScalarExpr x = cast(arg(0), difference);
  const ScalarExpr moved = shifts ? x - cast(arg(2), difference) : x;
  return b.map((difference == DType::kF32 ? moved : cast(moved, DType::kF32)) * arg(1), std::move(operands));
}

// The least (or largest) of 0 and the numbers in `x`, as a scalar.
Value* bound_of(GraphBuilder& b, Value* x, bool low) {
  std::vector<int64_t> axes(x->type.shape->size());
  std::iota(axes.begin(), axes.end(), 0);
  if (!axes.empty()) x = b.reshape(b.reduce(low ? "ReduceMin" : "ReduceMax", x, axes, true), {});
  return b.map(low ? select(arg(0) < 0.0, arg(0), 0.0) : select(arg(0) > 0.0, arg(0), 0.0), {x});
}

// The code whose range is that of the operand and 0.
Status expand_dynamic(Graph& graph, Node& node) {
  GraphBuilder b(graph, &node, node.name);
  Value* x = node.input(0);
  Value* numbers = b.map(select(arg(0) == arg(0), arg(0), 0.0), {x});
  Value *low = bound_of(b, numbers, true), *high = bound_of(b, numbers, false);
  Value* scale = b.map(select(arg(0) == arg(1), 1.0, (arg(0) - arg(1)) / 255.0), {high, low});
  Value* zero = b.map(quantize_scalar(-arg(0) / arg(1), 0.0, DType::kU8), {low, scale});
  Value* codes = b.map(quantize_scalar(arg(0) / arg(1), cast(arg(2), DType::kF32), DType::kU8), {x, scale, zero});
  TRY(b.status());
  Value* const results[] = {codes, scale, zero};
  std::vector<std::string> names;
  for (size_t i = 0; i < std::size(results); ++i) {
    names.push_back(node.output(i) ? node.output(i)->name : "");
    if (node.output(i)) graph.replace_uses(node.output(i), results[i]);
  }
  graph.erase(&node);
  for (size_t i = 0; i < std::size(results); ++i) {
    if (!names[i].empty()) graph.rename(results[i], names[i]);
  }
  return {};
}

}  // namespace

Result<bool> expand_quantization(Graph& graph, PassContext& context) {
  std::vector<Node*> nodes, dynamic;
  for (const auto& node : graph.nodes()) {
    if (node->op().name == "DynamicQuantizeLinear" && node->input(0)->type.shape) dynamic.push_back(node.get());
    if (node->op().name != "QuantizeLinear" && node->op().name != "DequantizeLinear") continue;
    if (std::string reason = obstacle(*node); reason.empty()) nodes.push_back(node.get());
    else context.remark(*node, "stays as it is: " + reason);
  }
  for (Node* node : nodes) {
    GraphBuilder b(graph, node, node->name);
    Value* result = expanded(b, *node);
    TRY(b.status());
    result->producer()->name = node->name;
    const std::string name = node->output()->name;
    graph.replace_uses(node->output(), result);
    graph.erase(node);
    graph.rename(result, name);
  }
  for (Node* node : dynamic) TRY(expand_dynamic(graph, *node));
  if (!dynamic.empty()) erase_dead_nodes(graph);
  return !nodes.empty() || !dynamic.empty();
}

}  // namespace gannet
