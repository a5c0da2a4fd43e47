// A convolution or matrix product takes in what its kernel does for nothing: Transposes of its operands and result as
// strides, and elementwise nodes after it while the result is still in cache.
#include <algorithm>
#include <vector>

#include "ir/epilogue.h"
#include "ir/op.h"
#include "passes/fusion.h"
#include "passes/pass.h"

namespace gannet {
namespace {

std::optional<ContractionKind> contraction_of(const Node& node) {
  const std::string_view op = node.op().name;
  if (op == "MatMul" || op == "Gemm" || op == "MatMulInteger") return ContractionKind::kMatmul;
  if (op == "Conv" || op == "ConvTranspose" || op == "ConvInteger" || is_fused(node, "convolution")) return ContractionKind::kConvolution;
  return std::nullopt;
}

std::vector<int64_t> inverse(const std::vector<int64_t>& permutation) {
  std::vector<int64_t> result(permutation.size());
  for (size_t i = 0; i < permutation.size(); ++i) result[static_cast<size_t>(permutation[i])] = static_cast<int64_t>(i);
  return result;
}

bool is_transpose(const Node* node) { return node && node->op().name == "Transpose" && node->attrs.has("perm"); }

// The Transpose behind operand `i` when its strides serve as well; with uses of its own cloned away.
Node* absorbed_operand(Graph& graph, Node& node, ContractionKind kind, size_t i) {
  Node* transpose = node.input(i) ? node.input(i)->producer() : nullptr;
  if (!is_transpose(transpose) || transpose->input(0)->constant()) return nullptr;
  const auto operand = i == 0 ? ContractionOperand::kData : ContractionOperand::kWeights;
  if (!takes_order(kind, operand, inverse(transpose->attrs.integers("perm")))) return nullptr;
  if (transpose->output()->uses().size() == 1 && !graph.is_result(transpose->output())) return transpose;
  Node* copy = graph.add_node(transpose->op(), {transpose->input(0)}, transpose->attrs, 1, &node);
  copy->name = transpose->name;
  copy->set_sources(transpose->sources());
  copy->output()->type = transpose->output()->type;
  graph.set_operand(&node, i, copy->output());
  return copy;
}

// Collects what comes after a contraction.
class Chain {
 public:
  Chain(Graph& graph, PassContext& context, ContractionKind kind, Node& core)
      : graph_(graph), context_(context), kind_(kind), tail_(&core) {
    const Node* principal = core.op().name == "Fused" ? principal_node(core) : &core;
    of_integers_ = principal && sums_integers(*principal);
  }

  std::vector<Node*> follow() {
    std::vector<Node*> nodes;
    while (Node* next = next_node()) {
      nodes.push_back(next);
      tail_ = next;
    }
    return nodes;
  }

 private:
  Node* next_node() {
    const Value* result = tail_->output();
    if (ended_ || tail_->outputs().size() != 1 || result->uses().size() != 1 || graph_.is_result(result)) return nullptr;
    Node* node = result->uses()[0].node;
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
  bool ended_ = false, of_integers_ = false;
};

bool takes_epilogue(const Target& target, ContractionKind kind) {
  return kind == ContractionKind::kMatmul ? target.matmul_epilogues : target.convolution_epilogues;
}

}  // namespace

Result<bool> fuse_contractions(Graph& graph, PassContext& context) {
  std::vector<Node*> cores;
  for (const auto& node : graph.nodes()) {
    if (contraction_of(*node)) cores.push_back(node.get());
  }
  bool changed = false;
  for (Node* core : cores) {
    const ContractionKind kind = *contraction_of(*core);
    std::vector<Node*> members;
    if (kind == ContractionKind::kMatmul && core->op().name.starts_with("MatMul")) {
      for (size_t i : {0, 1}) {
        if (Node* transpose = absorbed_operand(graph, *core, kind, i)) members.push_back(transpose);
      }
    }
    members.push_back(core);
    if (takes_epilogue(context.target, kind)) {
      std::vector<Node*> chain = Chain(graph, context, kind, *core).follow();
      members.insert(members.end(), chain.begin(), chain.end());
    }
    if (members.size() == 1) continue;
    const std::string name = core->name;
    Node* fused = TRY(fuse_nodes(graph, members, kind == ContractionKind::kMatmul ? "matmul" : "convolution"));
    fused->name = name;
    changed = true;
  }
  return changed;
}

}  // namespace gannet
