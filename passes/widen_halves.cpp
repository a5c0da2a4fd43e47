// Contractions and poolings over f16 and bf16 compute in f32 between Casts, as their definition does; the result is rounded
// to 16 bits as before. Casts of weights fold. No kernel of ours or of the library takes f16.
#include <algorithm>
#include <array>

#include "ir/builder.h"
#include "ir/op.h"
#include "passes/pass.h"

namespace gannet {
namespace {

constexpr std::array<std::string_view, 6> kWidened = {"Conv", "ConvTranspose", "MatMul", "Gemm", "MaxPool", "AveragePool"};

bool is_half(const Value* value) {
  return value && value->type.is_tensor() && (value->type.dtype == DType::kF16 || value->type.dtype == DType::kBF16);
}

bool is_candidate(const Node& node) {
  if (std::ranges::find(kWidened, node.op().name) == kWidened.end() || !is_half(node.output())) return false;
  return node.outputs().size() == 1 && std::ranges::all_of(node.inputs(), [](const Value* v) { return !v || is_half(v); });
}

Status widen(Graph& graph, Node& node) {
  GraphBuilder builder(graph, &node);
  std::vector<Value*> operands;
  for (Value* operand : node.inputs()) operands.push_back(operand ? builder.cast(operand, DType::kF32) : nullptr);
  Value* wide = builder.op(node.op().name, operands, node.attrs);
  wide->producer()->name = node.name;
  Value* result = builder.cast(wide, node.output()->type.dtype);
  TRY(builder.status());
  const std::string name = node.output()->name;
  graph.replace_uses(node.output(), result);
  graph.erase(&node);
  graph.rename(result, name);
  return {};
}

}  // namespace

Result<bool> widen_halves(Graph& graph, PassContext&) {
  std::vector<Node*> nodes;
  for (const auto& node : graph.nodes()) {
    if (is_candidate(*node)) nodes.push_back(node.get());
  }
  for (Node* node : nodes) TRY(widen(graph, *node));
  return !nodes.empty();
}

}  // namespace gannet
