// A convolution or matrix product takes in what its kernel does for nothing: Transposes of its operands and result as
// strides, elementwise nodes after it while the result is still in cache, and, where the target has products of bf16,
// Casts that widen operands and round the result.
#include <algorithm>
#include <vector>

#include "ir/bf16_cast.h"
#include "ir/epilogue.h"
#include "ir/op.h"
#include "passes/fusion.h"
#include "passes/pass.h"

namespace gannet {
namespace {

std::optional<ContractionKind> kind_of_core(const Node& core) {
  const std::string_view op = core.op().name;
  if (op == "MatMul" || op == "Gemm" || op == "MatMulInteger") return ContractionKind::kMatmul;
  if (op == "Conv" || op == "ConvTranspose" || op == "ConvInteger") return ContractionKind::kConvolution;
  return std::nullopt;
}

// A node that may take in others, and what it computes.
struct Contraction {
  Node* node = nullptr;
  const Node* core = nullptr;
  ContractionKind kind = ContractionKind::kConvolution;
  std::string_view fused_kind;
  bool takes_nodes = true;  // else nothing but Casts from and to bf16
};

// What has a single reader that rounds it to bf16.
bool is_rounded_only(const Graph& graph, const Value& value) {
  return value.uses().size() == 1 && !graph.is_result(&value) && rounds_to_bf16(*value.uses()[0].node);
}

std::optional<Contraction> contraction_of(const Graph& graph, Node& node) {
  if (const auto kind = kind_of_core(node)) return Contraction{&node, &node, *kind, *kind == ContractionKind::kMatmul ? "matmul" : "convolution"};
  const bool gradient = is_fused(node, "gradient"), pooling = is_fused(node, "pooling");
  const Node* core = gradient || pooling || is_fused(node, "convolution") ? principal_node(node) : nullptr;
  if (!core) return std::nullopt;
  if (gradient && core->op().name.starts_with("Conv")) return Contraction{&node, core, ContractionKind::kConvolution, "gradient", false};
  if (pooling && core->op().name == "MaxPool" && is_rounded_only(graph, *node.output())) {
    return Contraction{&node, core, ContractionKind::kPooling, "pooling", false};
  }
  return gradient || pooling ? std::nullopt : std::optional(Contraction{&node, core, ContractionKind::kConvolution, "convolution"});
}

std::vector<int64_t> inverse(const std::vector<int64_t>& permutation) {
  std::vector<int64_t> result(permutation.size());
  for (size_t i = 0; i < permutation.size(); ++i) result[static_cast<size_t>(permutation[i])] = static_cast<int64_t>(i);
  return result;
}

bool is_transpose(const Node* node) { return node && node->op().name == "Transpose" && node->attrs.has("perm"); }

// What makes operand `i` of `node`, or a copy of that before `node` where the operand has other uses.
Node* own_producer(Graph& graph, Node& node, size_t i) {
  Node* producer = node.input(i)->producer();
  if (producer->output()->uses().size() == 1 && !graph.is_result(producer->output())) return producer;
  Node* copy = graph.add_node(producer->op(), {producer->input(0)}, producer->attrs, 1, &node);
  copy->name = producer->name;
  copy->set_sources(producer->sources());
  copy->output()->type = producer->output()->type;
  graph.set_operand(&node, i, copy->output());
  return copy;
}

// The Transpose behind operand `i` of `node` when a contraction's operand number `place` takes its strides as well.
Node* absorbed_transpose(Graph& graph, Node& node, ContractionKind kind, size_t i, size_t place) {
  const Node* transpose = node.input(i) ? node.input(i)->producer() : nullptr;
  if (!is_transpose(transpose) || transpose->input(0)->constant()) return nullptr;
  const auto operand = place == 0 ? ContractionOperand::kData : ContractionOperand::kWeights;
  if (!takes_order(kind, operand, inverse(transpose->attrs.integers("perm")))) return nullptr;
  return own_producer(graph, node, i);
}

// The nodes before a contraction that join it, in order, and whether they widen its operands from bf16.
struct Operands {
  std::vector<Node*> members;
  bool narrow = false;
};

Operands absorbed_operands(Graph& graph, const Contraction& contraction, bool takes_bf16) {
  Node& node = *contraction.node;
  const Node& core = *contraction.core;
  const ContractionKind kind = contraction.kind;
  Operands result;
  std::vector<std::optional<size_t>> positions;
  for (size_t place = 0; place < (kind == ContractionKind::kPooling ? 1 : 2); ++place) positions.push_back(operand_position(node, core, place));
  result.narrow = takes_bf16 && std::ranges::all_of(positions, [&](const auto& i) { return i && is_widened(node.input(*i)); });
  const bool product = core.op().name.starts_with("MatMul");
  for (size_t place = 0; place < positions.size(); ++place) {
    if (!positions[place] || (place == 1 && positions[0] == positions[1])) continue;
    Node* reader = &node;
    size_t i = *positions[place];
    if (result.narrow) {
      reader = own_producer(graph, node, i);
      result.members.push_back(reader);
      i = 0;
    }
    if (Node* transpose = product ? absorbed_transpose(graph, *reader, kind, i, place) : nullptr) {
      result.members.insert(result.members.end() - (result.narrow ? 1 : 0), transpose);
    }
  }
  return result;
}

// Collects what comes after a contraction.
class Chain {
 public:
  // `narrow`: the contraction is of bf16.
  Chain(Graph& graph, PassContext& context, const Contraction& contraction, bool narrow)
      : graph_(graph), context_(context), kind_(contraction.kind), tail_(contraction.node), of_integers_(sums_integers(*contraction.core)),
        narrow_(narrow), ended_(!contraction.takes_nodes) {}

  std::vector<Node*> follow() {
    std::vector<Node*> nodes;
    while (Node* next = next_node()) {
      if (narrow_) take_widened(*next, nodes);
      nodes.push_back(next);
      tail_ = next;
    }
    return nodes;
  }

 private:
  // Casts that widen further operands of `node`.
  void take_widened(Node& node, std::vector<Node*>& nodes) {
    for (size_t i = 0; i < node.inputs().size(); ++i) {
      if (node.input(i) != tail_->output() && is_widened(node.input(i))) nodes.push_back(own_producer(graph_, node, i));
    }
  }

  Node* next_node() {
    const Value* result = tail_->output();
    if (rounded_ || tail_->outputs().size() != 1 || result->uses().size() != 1 || graph_.is_result(result)) return nullptr;
    Node* node = result->uses()[0].node;
    if (narrow_ && rounds_to_bf16(*node)) {
      rounded_ = true;
      return node;
    }
    if (ended_) return nullptr;
    if (is_transpose(node)) {
      ended_ = true;
      const bool fits = kind_ == ContractionKind::kMatmul && takes_order(kind_, ContractionOperand::kResult, node->attrs.integers("perm"));
      return fits ? node : nullptr;
    }
    if (of_integers_ && widens_sums(*node) && terms_.empty()) return node;
    if (!is_elementwise(*node)) return nullptr;
    const std::optional<std::vector<EpilogueTerm>> terms = epilogue_of(*node, static_cast<size_t>(result->uses()[0].index));
    const bool codes = terms && !terms->empty() && terms->back().kind == EpilogueKind::kQuantize;
    if (!terms || (codes && !of_integers_) || !result->type.shape || node->output()->type.shape != result->type.shape) {
      context_.remark(*node, "not joined to the contraction before it: its kernel has no such epilogue");
      return nullptr;
    }
    std::vector<EpilogueTerm> longer = terms_;
    for (const EpilogueTerm& term : *terms) {
      if (append_term(longer, term) != TermPlace::kRefused) continue;
      context_.remark(*node, "not joined to the contraction before it: its kernel applies a function once only");
      return nullptr;
    }
    if (longer.size() > kMostEpilogueTerms) return nullptr;
    terms_ = std::move(longer);
    return node;
  }

  Graph& graph_;
  PassContext& context_;
  const ContractionKind kind_;
  Node* tail_;
  std::vector<EpilogueTerm> terms_;
  const bool of_integers_, narrow_;
  bool ended_, rounded_ = false;
};

bool takes_epilogue(const Target& target, ContractionKind kind) {
  return kind == ContractionKind::kMatmul ? target.matmul_epilogues : target.convolution_epilogues;
}

}  // namespace

Result<bool> fuse_contractions(Graph& graph, PassContext& context) {
  std::vector<Contraction> contractions;
  for (const auto& node : graph.nodes()) {
    if (const auto contraction = contraction_of(graph, *node)) contractions.push_back(*contraction);
  }
  bool changed = false;
  for (const Contraction& contraction : contractions) {
    const Operands operands = absorbed_operands(graph, contraction, context.target.bf16_products);
    std::vector<Node*> members = operands.members;
    members.push_back(contraction.node);
    if (takes_epilogue(context.target, contraction.kind)) {
      const std::vector<Node*> chain = Chain(graph, context, contraction, operands.narrow).follow();
      members.insert(members.end(), chain.begin(), chain.end());
    }
    if (members.size() == 1) continue;
    const std::string name = contraction.node->name;
    Node* fused = TRY(fuse_nodes(graph, members, contraction.fused_kind));
    fused->name = name;
    changed = true;
  }
  return changed;
}

}  // namespace gannet
