// Convolutions and poolings on N, spatial..., C: each becomes a Fused node whose body transposes there and back, with
// the opposite Transposes outside, which other passes move and cancel. oneDNN's fast kernels want this layout.
#include <algorithm>
#include <numeric>

#include "ir/builder.h"
#include "ir/op.h"
#include "passes/fusion.h"
#include "passes/pass.h"

namespace gannet {
namespace {

constexpr std::string_view kSpatialOps[] = {"Conv", "ConvTranspose", "MaxPool", "AveragePool"};

std::string_view kind_of(const Node& node) { return node.op().name.ends_with("Pool") ? "pooling" : "convolution"; }

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
  if (x.dtype != DType::kF32 && x.dtype != DType::kBF16) return "its input is " + std::string(name_of(x.dtype));
  if (node.outputs().size() > 1 && node.output(1) != nullptr) return "its indices are wanted";
  return "";
}

Status wrap(Graph& graph, Node& node) {
  const size_t rank = static_cast<size_t>(node.input(0)->type.rank());
  GraphBuilder builder(graph, &node);
  Value* x = builder.transpose(node.input(0), to_channels_last(rank));
  Value* inner_x = builder.transpose(x, to_channels_first(rank));
  std::vector<Value*> operands(node.inputs().begin(), node.inputs().end());
  operands[0] = inner_x;
  Value* y = builder.op(node.op().name, operands, node.attrs);
  y->producer()->name = node.name;
  Value* inner_y = builder.transpose(y, to_channels_last(rank));
  Value* result = builder.transpose(inner_y, to_channels_first(rank));
  TRY(builder.status());
  const std::string name = node.output()->name;
  graph.replace_uses(node.output(), result);
  Node* members[] = {inner_x->producer(), y->producer(), inner_y->producer()};
  Node* fused = TRY(fuse_nodes(graph, members, kind_of(node)));
  fused->name = node.name;
  graph.erase(&node);
  graph.rename(result, name);
  return {};
}

}  // namespace

Result<bool> channels_last(Graph& graph, PassContext& context) {
  if (!context.target.channels_last) return false;
  std::vector<Node*> nodes;
  for (const auto& node : graph.nodes()) {
    if (std::ranges::find(kSpatialOps, node->op().name) == std::end(kSpatialOps)) continue;
    if (std::string reason = obstacle(*node); reason.empty()) {
      nodes.push_back(node.get());
    } else {
      context.remark(*node, "keeps its channels first: " + reason);
    }
  }
  for (Node* node : nodes) TRY(wrap(graph, *node));
  return !nodes.empty();
}

}  // namespace gannet
