// Activations in signed codes become unsigned ones with another zero point: 128 more. Kernels read unsigned codes as they
// are, and after Relu, whose zero is the lowest code, the zero point is 0.
#include <algorithm>
#include <unordered_set>

#include "ir/builder.h"
#include "ir/op.h"
#include "passes/linear_code.h"
#include "passes/pass.h"

namespace gannet {
namespace {

constexpr std::string_view kMoving[] = {"Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Gather", "Identity", "Expand", "MaxPool"};

// The codes of a QuantizeLinear node and those that are moved from them, and the nodes that read them.
class Codes {
 public:
  explicit Codes(Graph& graph) : graph_(graph) {}

  // False where someone reads them as signed numbers.
  bool collect(Value* value) {
    if (graph_.is_result(value)) return false;
    values_.push_back(value);
    for (const Use& use : value->uses()) {
      if (use.index != 0) return false;
      if (use.node->op().name == "DequantizeLinear") {
        if (!linear_code_of(*use.node)) return false;
        readers_.push_back(use.node);
      } else if (std::ranges::find(kMoving, use.node->op().name) == std::end(kMoving) || use.node->output(1) || !collect(use.node->output())) {
        return false;
      }
    }
    return true;
  }

  void shift(Node* encoder) {
    shift_zero(encoder);
    for (Node* reader : readers_) shift_zero(reader);
    for (Value* value : values_) value->type.dtype = DType::kU8;
  }

 private:
  void shift_zero(Node* node) {
    const double zero = linear_code_of(*node)->zero + 128;
    const Tensor& scale = *node->input(1)->constant();
    Tensor one = Tensor::scalar_of(DType::kU8, zero).reshaped(scale.extents());
    std::vector<Value*> operands(node->inputs().begin(), node->inputs().end());
    operands.resize(3);
    operands[2] = graph_.add_constant(std::move(one), "", node);
    graph_.set_operands(node, std::move(operands));
    const bool states_dtype = node->op().name == "QuantizeLinear" && node->attrs.dtype("output_dtype") != DType::kUndefined;
    if (states_dtype) node->attrs.set("output_dtype", DType::kU8);
  }

  Graph& graph_;
  std::vector<Value*> values_;
  std::vector<Node*> readers_;
};

}  // namespace

Result<bool> unsigned_codes(Graph& graph, PassContext& context) {
  if (!context.target.integer_products) return false;
  std::vector<Node*> encoders;
  for (const auto& node : graph.nodes()) {
    const bool encodes = node->op().name == "QuantizeLinear";
    const std::optional<LinearCode> code = encodes ? linear_code_of(*node) : std::nullopt;
    if (code && code->dtype == DType::kI8) encoders.push_back(node.get());
  }
  bool changed = false;
  for (Node* encoder : encoders) {
    Codes codes(graph);
    if (!codes.collect(encoder->output())) continue;
    codes.shift(encoder);
    changed = true;
  }
  if (changed) erase_dead_nodes(graph);
  return changed;
}

}  // namespace gannet
