// A product of one row with a small constant matrix, and the elementwise nodes after it, become a region that sums
// columns: generated code. It moves hardly more than the matrix, so the library's kernels gain nothing, and calling one
// costs more than the sum; besides, they take scratch memory of more than such a model's activations.
#include <algorithm>

#include "passes/fusion.h"
#include "passes/match.h"

namespace gannet {
namespace {

// Half a second-level cache.
constexpr int64_t kMostWeights = 128 * 1024;
constexpr size_t kMostNodes = 12;

bool is_row(const Type& type) {
  if (type.dtype != DType::kF32 || !type.shape || type.shape->empty()) return false;
  return std::all_of(type.shape->begin(), type.shape->end() - 1, [](const Dim& extent) { return extent.is_constant(1); });
}

// Elementwise nodes over `y` alone and what is given, one after the other.
void follow(const Graph& graph, const Value* y, std::vector<Node*>& members) {
  while (members.size() < kMostNodes && y->uses().size() == 1 && !graph.is_result(y)) {
    Node* next = y->uses()[0].node;
    if (!is_elementwise(*next) || next->outputs().size() != 1 || !same_tensor_type(next->output(), y)) return;
    members.push_back(next);
    y = next->output();
  }
}

}  // namespace

Result<bool> expand_vector_products(Graph& graph, PassContext& context) {
  Replacer replacer(graph, context);
  for (Node* product : replacer.nodes({"MatMul"})) {
    const Tensor* weight = product->input(1)->constant();
    if (!weight || weight->rank() != 2 || !is_row(product->input(0)->type)) continue;
    if (weight->elements() == 0 || weight->elements() > kMostWeights) continue;
    GraphBuilder b(graph, product);
    Value* terms = b.mul(b.reshape(product->input(0), {weight->extent(0), 1}), product->input(1));
    Value* sum = b.reduce_sum(terms, {0}, true);
    const Shape& shape = *product->output()->type.shape;
    const bool is_shaped = sum->type.shape == shape;
    Value* y = is_shaped ? sum : b.reshape(sum, shape);
    TRY(b.status());
    const std::string name = product->name;
    std::vector<Node*> members{terms->producer(), sum->producer()};
    replacer.replace(*product, y);
    if (is_shaped) follow(graph, y, members);
    TRY(fuse_nodes(graph, members, "region"))->name = name;
  }
  return replacer.finish();
}

}  // namespace gannet
