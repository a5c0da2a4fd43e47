// Contractions and poolings over f16 and bf16 compute in f32 between Casts, as their definition does: no kernel of ours or
// of the library takes f16. What follows them goes on in f32 as far as it can, and only results that others see are
// rounded to 16 bits (docs/numerics.md says what that changes). Casts of weights fold.
#include <algorithm>
#include <array>
#include <unordered_map>

#include "ir/builder.h"
#include "ir/op.h"
#include "passes/pass.h"

namespace gannet {
namespace {

constexpr std::array<std::string_view, 6> kWidened = {"Conv", "ConvTranspose", "MatMul", "Gemm", "MaxPool", "AveragePool"};

// Ops that work on f32 as on 16 bits, besides elementwise ones; other operands than floats are extents, axes, indices.
constexpr std::array<std::string_view, 31> kFollowing = {
    "Concat", "Split", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Pad", "Expand", "Tile",
    "Gather", "Identity", "Resize", "DepthToSpace", "SpaceToDepth", "ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin",
    "ReduceL1", "ReduceL2", "ReduceSumSquare", "GlobalAveragePool", "GlobalMaxPool", "Softmax", "LogSoftmax",
    "LayerNormalization", "InstanceNormalization", "BatchNormalization", "GroupNormalization"};

bool is_half(const Value* value) {
  return value && value->type.is_tensor() && (value->type.dtype == DType::kF16 || value->type.dtype == DType::kBF16);
}

bool is_candidate(const Node& node) {
  if (std::ranges::find(kWidened, node.op().name) == kWidened.end() || !is_half(node.output())) return false;
  return node.outputs().size() == 1 && std::ranges::all_of(node.inputs(), [](const Value* v) { return !v || is_half(v); });
}

class Widening {
 public:
  explicit Widening(Graph& graph) : graph_(graph) {}

  Result<bool> run() {
    bool changed = false;
    for (auto at = graph_.nodes().begin(); at != graph_.nodes().end();) {
      Node& node = **at++;
      if (is_candidate(node) || follows(node)) {
        TRY(widen(node));
        changed = true;
      } else {
        changed |= undo_rounding(node);
      }
    }
    if (changed) erase_dead_nodes(graph_);
    return changed;
  }

 private:
  // The f32 that this pass rounded to `value`; null for others. Casts of the model round as they say.
  Value* wide_source(const Value* value) const {
    const auto found = rounded_.find(value);
    return found == rounded_.end() ? nullptr : found->second;
  }

  // True for a node of 16 bits throughout with an operand that was f32.
  bool follows(const Node& node) const {
    if (!node.op().body && std::ranges::find(kFollowing, node.op().name) == kFollowing.end()) return false;
    auto is_other_float = [](const Value* v) {
      return v && v->type.is_tensor() && is_float(v->type.dtype) && !is_half(v);
    };
    return std::ranges::any_of(node.inputs(), [&](const Value* v) { return wide_source(v) != nullptr; }) &&
           std::ranges::all_of(node.outputs(), [](const Value* v) { return !v || is_half(v); }) &&
           std::ranges::none_of(node.inputs(), is_other_float);
  }

  Status widen(Node& node) {
    GraphBuilder builder(graph_, &node);
    std::vector<Value*> operands;
    for (Value* operand : node.inputs()) {
      Value* source = wide_source(operand);
      operands.push_back(source ? source : is_half(operand) ? builder.cast(operand, DType::kF32) : operand);
    }
    const std::vector<Value*> wide = builder.op_n(node.op().name, operands, node.attrs, node.outputs().size());
    TRY(builder.status());
    wide[0]->producer()->name = node.name;
    std::vector<std::pair<Value*, std::string>> names;
    for (size_t i = 0; i < wide.size(); ++i) {
      Value* output = node.output(i);
      if (!output) {
        graph_.drop_output(wide[i]->producer(), i);
        continue;
      }
      wide[i]->type.shape = output->type.shape;
      Value* result = builder.cast(wide[i], output->type.dtype);
      TRY(builder.status());
      rounded_[result] = wide[i];
      names.emplace_back(result, output->name);
      graph_.replace_uses(output, result);
    }
    graph_.erase(&node);
    for (const auto& [result, name] : names) graph_.rename(result, name);
    return {};
  }

  // A Cast back to f32 of what was f32.
  bool undo_rounding(Node& node) {
    if (node.op().name != "Cast" || node.output()->type.dtype != DType::kF32) return false;
    Value* source = wide_source(node.input(0));
    if (!source) return false;
    graph_.replace_uses(node.output(), source);
    return true;
  }

  Graph& graph_;
  std::unordered_map<const Value*, Value*> rounded_;
};

}  // namespace

Result<bool> widen_halves(Graph& graph, PassContext&) { return Widening(graph).run(); }

}  // namespace gannet
