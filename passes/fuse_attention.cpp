// A Softmax with the product that makes its scores and the product that takes its result become one node, so that scores
// need not be kept in memory. It comes behind fuse_contractions, which has taken Transposes, scales and masks into the
// products, and Casts where these are of bf16. Casts that round the Softmax stand between it and the second product.
#include "ir/attention_form.h"
#include "ir/bf16_cast.h"
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
  const Value* left = product.core->input(0);
  return (left == inside || (is_widened(left) && left->producer()->input(0) == inside)) && inside->uses().size() == 1;
}

// Whether Casts that widen the operands have joined the product.
bool is_of_bf16(const Product& product) { return product.node != product.core && is_widened(product.core->input(1)); }

bool ends_here(const Graph& graph, const Value* value) { return value->uses().size() == 1 && !graph.is_result(value); }

// The Softmax and the Casts that round what it makes, in order.
std::vector<Node*> rounded_softmax(const Graph& graph, Node& softmax) {
  std::vector<Node*> nodes{&softmax};
  for (const auto& is_next : {rounds_to_bf16, widens_bf16}) {
    const Value* present = nodes.back()->output();
    if (!ends_here(graph, present) || !is_next(*present->uses()[0].node)) break;
    nodes.push_back(present->uses()[0].node);
  }
  return nodes;
}

// The nodes that become one, in order; none where they are no attention.
std::vector<Node*> attention_around(const Graph& graph, PassContext& context, Node& softmax) {
  std::vector<Node*> members = rounded_softmax(graph, softmax);
  const Value *x = softmax.input(0), *y = members.back()->output();
  if (!is_over_columns(softmax) || !x->producer() || !ends_here(graph, x) || !ends_here(graph, y)) return {};
  const auto scores = product_of(x->producer()), values = product_of(y->uses()[0].node);
  if (!scores || !values || !is_left_operand(*values, y->uses()[0].index)) return {};
  std::string obstacle = attention_obstacle(*scores->core, *values->core);
  if (obstacle.empty() && !scores_between(scores->core->output(), scores->end)) obstacle = "scores go through more than factors and masks";
  if (obstacle.empty() && !order_between(values->core->output(), values->end)) obstacle = "its result goes through more than Transposes";
  if (obstacle.empty() && is_of_bf16(*scores) != is_of_bf16(*values)) obstacle = "one of them is of bf16, the other of f32";
  if (!obstacle.empty()) {
    context.remark(softmax, "not one with the products around it: " + obstacle);
    return {};
  }
  members.insert(members.begin(), scores->node);
  members.push_back(values->node);
  return members;
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
    const std::vector<Node*> members = attention_around(graph, context, *softmax);
    if (members.empty()) continue;
    const std::string name = members.back()->name;
    Node* fused = TRY(fuse_nodes(graph, members, "attention"));
    fused->name = name;
    changed = true;
  }
  return changed;
}

}  // namespace gannet
