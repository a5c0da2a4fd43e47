// Batch normalizations whose parameters are no constants become their arithmetic, which fuses with what is around it.
// It is the arithmetic of their gradients as well, so that both share what they have in common.
#include "ir/builder.h"
#include "ir/op.h"
#include "ir/ops/standardize.h"
#include "passes/pass.h"

namespace gannet {
namespace {

using E = ScalarExpr;

bool is_computed(const Node& node) {
  const Type& x = node.input(0)->type;
  if (!x.shape || x.rank() < 2 || (x.dtype != DType::kF32 && x.dtype != DType::kF64)) return false;
  for (const Value* operand : node.inputs()) {
    if (!operand || operand->type.dtype != x.dtype) return false;
  }
  return true;
}

// The results of one node; null for those that nobody wants.
class Expansion {
 public:
  Expansion(GraphBuilder& builder, const Node& node) : b(builder), node_(node) {
    for (int64_t i = 0; i < node.input(0)->type.rank(); ++i) {
      if (i != 1) others_.push_back(i);
    }
  }

  std::vector<Value*> with_statistics_of_the_batch() {
    const Moments m = moments(b, node_.input(0), others_);
    Value* normalized = b.mul(b.sub(node_.input(0), m.mean), inverse_root(b, m.variance, epsilon()));
    Value* y = b.map(E::arg(0) * E::arg(1) + E::arg(2), {normalized, wide(1), wide(2)});
    return {y, node_.output(1) ? running(3, m.mean) : nullptr, node_.output(2) ? running(4, m.variance) : nullptr};
  }

  std::vector<Value*> with_given_statistics() {
    Value* inverse = inverse_root(b, wide(4), epsilon());
    Value* normalized = b.mul(b.sub(node_.input(0), wide(3)), inverse);
    return {b.map(E::arg(0) * E::arg(1) + E::arg(2), {normalized, wide(1), wide(2)}), node_.input(3), node_.input(4)};
  }

 private:
  double epsilon() const { return static_cast<double>(node_.attrs.number("epsilon")); }
  Value* wide(size_t operand) { return b.unsqueeze(node_.input(operand), others_); }
  Value* running(size_t operand, Value* batch) {
    const double momentum = static_cast<double>(node_.attrs.number("momentum"));
    return b.map(momentum * E::arg(0) + (1 - momentum) * E::arg(1), {node_.input(operand), b.squeeze(batch, others_)});
  }

  GraphBuilder& b;
  const Node& node_;
  std::vector<int64_t> others_;
};

}  // namespace

Result<bool> expand_batch_normalization(Graph& graph, PassContext& context) {
  std::vector<Node*> nodes;
  for (const auto& node : graph.nodes()) {
    if (node->op().name != "BatchNormalization") continue;
    if (is_computed(*node)) nodes.push_back(node.get());
    else context.remark(*node, "evaluated by its definition: operands of several types, or of unknown rank");
  }
  for (Node* node : nodes) {
    GraphBuilder b(graph, node, node->name);
    Expansion expansion(b, *node);
    const bool training = node->attrs.integer("training_mode") != 0;
    const std::vector<Value*> results = training ? expansion.with_statistics_of_the_batch() : expansion.with_given_statistics();
    TRY(b.status());
    for (size_t i = 0; i < node->outputs().size(); ++i) {
      if (!node->output(i)) continue;
      const std::string name = node->output(i)->name;
      graph.replace_uses(node->output(i), results[i]);
      graph.rename(node->output(i), name + ".whole");
      if (results[i]->producer() && results[i]->producer() != node) graph.rename(results[i], name);
    }
    graph.erase(node);
  }
  return !nodes.empty();
}

}  // namespace gannet
