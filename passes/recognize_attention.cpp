// Attention in its normal form: softmax(q k + mask) v, where the scale stands on q before its heads are taken apart. There
// it works on fewer elements than on the scores, it can go into the weights that make q, and what is between a product and
// its operands is one Transpose.
#include "passes/match.h"

namespace gannet {
namespace {

// The number a node multiplies its first operand by; nothing for other nodes.
std::optional<double> scale_of(const Node& node) {
  const bool multiplies = node.op().name == "Mul";
  if (!multiplies && node.op().name != "Div") return std::nullopt;
  const auto number = constant_number(node.input(1));
  if (!number || *number == 0 || !same_tensor_type(node.output(), node.input(0))) return std::nullopt;
  return multiplies ? *number : 1 / *number;
}

// Scales on the way from a use to the value behind them.
struct Chain {
  std::vector<Node*> scales;
  double factor = 1;
  Use end;  // who takes the value behind the last link
};

// Follows the operand `use` down through scales and, where `through_movement`, Transposes and Reshapes, as long as
// nobody else takes a value on the way.
Chain follow(Use use, bool through_movement) {
  Chain chain{{}, 1, use};
  while (true) {
    const Value* value = chain.end.node->input(static_cast<size_t>(chain.end.index));
    Node* node = value->producer();
    if (!node || !has_one_use(value)) return chain;
    const bool moves = node->op().name == "Transpose" || node->op().name == "Reshape";
    if (const auto scale = scale_of(*node)) {
      chain.scales.push_back(node);
      chain.factor *= *scale;
    } else if (!moves || !through_movement) {
      return chain;
    }
    chain.end = {node, 0};
  }
}

// The operand of `node` through which scores pass: that of a mask that is added or selected, or of any depth of these.
std::optional<Use> scores_use(Node& softmax) {
  constexpr int kMostMasks = 4;
  Use use{&softmax, 0};
  for (int depth = 0; depth <= kMostMasks; ++depth) {
    const Chain chain = follow(use, false);
    const Value* value = chain.end.node->input(static_cast<size_t>(chain.end.index));
    if (!has_one_use(value) || !value->producer()) return std::nullopt;
    Node* node = value->producer();
    if (node->op().name == "MatMul") return use;
    // A scale above a mask scales the mask as well.
    if (!chain.scales.empty()) return std::nullopt;
    const std::string_view op = node->op().name;
    if (op != "Add" && op != "Where") return std::nullopt;
    std::optional<int> next;
    for (int i = op == "Add" ? 0 : 1; i < static_cast<int>(node->inputs().size()); ++i) {
      const Chain below = follow({node, i}, false);
      const Value* operand = below.end.node->input(static_cast<size_t>(below.end.index));
      const Node* producer = operand->producer();
      const bool leads = producer && (producer->op().name == "MatMul" || producer->op().name == "Add" || producer->op().name == "Where");
      if (leads && same_tensor_type(operand, node->output()) && !next) next = i;
    }
    if (!next) return std::nullopt;
    use = {node, *next};
  }
  return std::nullopt;
}

Result<bool> normalize(Graph& graph, PassContext& context, Node& softmax) {
  const std::optional<Use> use = scores_use(softmax);
  if (!use) return false;
  Chain scores = follow(*use, false);
  Node* product = scores.end.node->input(static_cast<size_t>(scores.end.index))->producer();
  Chain q = follow({product, 0}, true), k = follow({product, 1}, true);
  Value* base = q.end.node->input(static_cast<size_t>(q.end.index));
  const bool normal = scores.scales.empty() && k.scales.empty();
  if (normal && (q.scales.empty() || (q.scales.size() == 1 && q.scales[0] == q.end.node))) return false;
  if (base->constant()) {
    context.remark(*product, fmt::format("the scale of scores stays: '{}' is a constant", base->name));
    return false;
  }
  const double factor = scores.factor * q.factor * k.factor;
  for (const Chain* chain : {&scores, &q, &k}) {
    for (Node* scale : chain->scales) {
      graph.replace_uses(scale->output(), scale->input(0));
      graph.erase(scale);
    }
  }
  const Use end = follow({product, 0}, true).end;
  base = end.node->input(static_cast<size_t>(end.index));
  GraphBuilder b(graph, end.node);
  Value* scaled = b.mul(base, b.number(factor, base));
  TRY(b.status());
  graph.set_operand(end.node, static_cast<size_t>(end.index), scaled);
  return true;
}

}  // namespace

Result<bool> recognize_attention(Graph& graph, PassContext& context) {
  std::vector<Node*> softmaxes;
  for (const auto& node : graph.nodes()) {
    const int64_t rank = node->op().name == "Softmax" ? node->output()->type.rank() : -1;
    if (rank < 2) continue;
    const int64_t axis = node->attrs.integer("axis");
    if (axis == -1 || axis == rank - 1) softmaxes.push_back(node.get());
  }
  bool changed = false;
  for (Node* softmax : softmaxes) changed |= TRY(normalize(graph, context, *softmax));
  if (changed) erase_dead_nodes(graph);
  return changed;
}

}  // namespace gannet
