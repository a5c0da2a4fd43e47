// Convolutions and poolings on N, spatial..., C: each becomes a Fused node whose body transposes there and back, with
// the opposite Transposes outside, which other passes move and cancel. oneDNN's fast kernels want this layout.
#include <algorithm>
#include <numeric>

#include "ir/builder.h"
#include "ir/epilogue.h"
#include "ir/op.h"
#include "passes/fusion.h"
#include "passes/pass.h"

namespace gannet {
namespace {

struct SpatialOp {
  std::string_view op, kind;
  std::vector<size_t> operands;  // that have batch, channels, spatial... as axes
  bool result = true;            // so has the result
};

const std::vector<SpatialOp>& spatial_ops() {
  static const std::vector<SpatialOp> kOps = {{"Conv", "convolution", {0}}, {"ConvTranspose", "convolution", {0}},
                                              {"ConvInteger", "convolution", {0}},
                                              {"MaxPool", "pooling", {0}}, {"AveragePool", "pooling", {0}},
                                              {"ConvInputGradient", "gradient", {0, 2}}, {"ConvWeightGradient", "gradient", {0, 1}, false},
                                              {"MaxPoolGradient", "gradient", {0, 1}}, {"AveragePoolGradient", "gradient", {0, 1}}};
  return kOps;
}

const SpatialOp* spatial_op(const Node& node) {
  const auto found = std::ranges::find(spatial_ops(), node.op().name, &SpatialOp::op);
  return found == spatial_ops().end() ? nullptr : &*found;
}

std::vector<int64_t> to_channels_last(size_t rank) {
  std::vector<int64_t> permutation(rank);
  std::iota(permutation.begin(), permutation.end(), 0);
  std::rotate(permutation.begin() + 1, permutation.begin() + 2, permutation.end());
  return permutation;
}

std::vector<int64_t> to_channels_first(size_t rank) {
  std::vector<int64_t> permutation(rank);
  std::iota(permutation.begin(), permutation.end(), 0);
  std::rotate(permutation.begin() + 1, permutation.end() - 1, permutation.end());
  return permutation;
}

// Why `node` stays as it is; empty when it can be wrapped.
std::string obstacle(const Node& node) {
  const Type& x = node.input(0)->type;
  if (!x.shape || x.rank() < 3) return "the rank of its input is not known";
  if (x.rank() > 5) return "it has more than 3 spatial dimensions";
  const bool codes = (x.dtype == DType::kI8 || x.dtype == DType::kU8) && (sums_integers(node) || node.op().name == "MaxPool");
  if (x.dtype != DType::kF32 && x.dtype != DType::kBF16 && !codes) return "its input is " + std::string(name_of(x.dtype));
  if (node.outputs().size() > 1 && node.output(1) != nullptr) return "its indices are wanted";
  return "";
}

Status wrap(Graph& graph, Node& node, const SpatialOp& op) {
  const size_t rank = static_cast<size_t>(node.input(0)->type.rank());
  GraphBuilder builder(graph, &node);
  std::vector<Value*> operands(node.inputs().begin(), node.inputs().end());
  std::vector<Node*> members, outside;
  for (const size_t i : op.operands) {
    Value* moved = builder.transpose(node.input(i), to_channels_last(rank));
    operands[i] = builder.transpose(moved, to_channels_first(rank));
    if (!operands[i]) continue;
    outside.push_back(moved->producer());
    members.push_back(operands[i]->producer());
  }
  Value* y = builder.op(node.op().name, operands, node.attrs);
  TRY(builder.status());
  y->producer()->name = node.name;
  members.push_back(y->producer());
  Value* result = y;
  if (op.result) {
    Value* inner_y = builder.transpose(y, to_channels_last(rank));
    result = builder.transpose(inner_y, to_channels_first(rank));
    TRY(builder.status());
    members.push_back(inner_y->producer());
    outside.push_back(result->producer());
  }
  const std::string name = node.output()->name;
  graph.replace_uses(node.output(), result);
  Node* fused = TRY(fuse_nodes(graph, members, op.kind));
  fused->name = node.name;
  node.succeed(*fused);
  for (Node* transpose : outside) transpose->set_sources({});
  if (!op.result) result = fused->output();
  graph.erase(&node);
  graph.rename(result, name);
  return {};
}

}  // namespace

Result<bool> channels_last(Graph& graph, PassContext& context) {
  if (!context.target.channels_last) return false;
  std::vector<Node*> nodes;
  for (const auto& node : graph.nodes()) {
    if (!spatial_op(*node)) continue;
    if (std::string reason = obstacle(*node); reason.empty()) {
      nodes.push_back(node.get());
    } else {
      context.remark(*node, "keeps its channels first: " + reason);
    }
  }
  for (Node* node : nodes) TRY(wrap(graph, *node, *spatial_op(*node)));
  return !nodes.empty();
}

}  // namespace gannet
