// A Softmax with the product that makes its scores and the product that takes its result become one node, so that scores
// need not be kept in memory. It comes behind fuse_contractions, which has taken Transposes, scales and masks into the
// products.
#include "ir/attention_form.h"
#include "ir/op.h"
#include "passes/fusion.h"
#include "passes/pass.h"

namespace gannet {
namespace {

// A product, alone or with what belongs to it, and where it starts and ends there.
struct Product {
  Node* node = nullptr;
  const Node* core = nullptr;
  const Value* end = nullptr;
};

std::optional<Product> product_of(Node* node) {
  if (!node) return std::nullopt;
  if (node->op().name == "MatMul") return Product{node, node, node->output()};
  if (!is_fused(*node, "matmul")) return std::nullopt;
  const Node* core = principal_node(*node);
  if (!core || core->op().name != "MatMul") return std::nullopt;
  return Product{node, core, node->attrs.graph("body")->outputs[0].value};
}

// Whether operand `index` of the product's node is the left operand itself, and nothing else.
bool is_left_operand(const Product& product, int index) {
  if (product.node == product.core) return index == 0;
  const Value* inside = product.node->attrs.graph("body")->inputs()[static_cast<size_t>(index)];
  return product.core->input(0) == inside && inside->uses().size() == 1;
}

bool ends_here(const Graph& graph, const Value* value) { return value->uses().size() == 1 && !graph.is_result(value); }

// The first and the last of the three nodes; nothing where they are no attention.
std::optional<std::pair<Node*, Node*>> attention_around(const Graph& graph, PassContext& context, Node& softmax) {
  const Value *x = softmax.input(0), *y = softmax.output();
  const int64_t axis = softmax.attrs.integer("axis");
  if (axis != -1 && axis != y->type.rank() - 1) return std::nullopt;
  if (!x->producer() || !ends_here(graph, x) || !ends_here(graph, y)) return std::nullopt;
  const auto scores = product_of(x->producer()), values = product_of(y->uses()[0].node);
  if (!scores || !values || !is_left_operand(*values, y->uses()[0].index)) return std::nullopt;
  std::string obstacle = attention_obstacle(*scores->core, *values->core);
  if (obstacle.empty() && !scores_between(scores->core->output(), scores->end)) obstacle = "scores go through more than factors and masks";
  if (obstacle.empty() && !order_between(values->core->output(), values->end)) obstacle = "its result goes through more than Transposes";
  if (!obstacle.empty()) {
    context.remark(softmax, "not one with the products around it: " + obstacle);
    return std::nullopt;
  }
  return std::pair(scores->node, values->node);
}

}  // namespace

Result<bool> fuse_attention(Graph& graph, PassContext& context) {
  if (!context.target.fused_attention) return false;
  std::vector<Node*> softmaxes;
  for (const auto& node : graph.nodes()) {
    if (node->op().name == "Softmax") softmaxes.push_back(node.get());
  }
  bool changed = false;
  for (Node* softmax : softmaxes) {
    const auto found = attention_around(graph, context, *softmax);
    if (!found) continue;
    const std::string name = found->second->name;
    Node* const members[] = {found->first, softmax, found->second};
    Node* fused = TRY(fuse_nodes(graph, members, "attention"));
    fused->name = name;
    changed = true;
  }
  return changed;
}

}  // namespace gannet
