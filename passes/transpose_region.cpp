#include "passes/transpose_region.h"

#include <algorithm>

#include "ir/op.h"
#include "passes/minimum_cut.h"

namespace gannet {
namespace {

using Labels = std::vector<bool>;  // of the variables: whether permuted

// The cost of a choice: one term for each value that may have to be transposed.
struct Term {
  int producer = 0;
  std::vector<int> consumers;
  int64_t weight = 0;
};

constexpr int kPermuted = MinimumCut::kSource, kNatural = MinimumCut::kSink;

class RegionFinder {
 public:
  explicit RegionFinder(std::unordered_set<const Node*>& visited) : visited_(visited) {}

  TransposeRegion grow(Value* start, const Permutation& p) {
    add_value(start, p);
    for (size_t i = 0; i < region_.values.size(); ++i) {
      Value* value = region_.values[i];
      const Permutation layout = region_.layout_of[value];
      if (Node* producer = value->producer()) add_node(producer, true, static_cast<size_t>(value->output_index()), layout);
      for (const Use& use : value->uses()) add_node(use.node, false, static_cast<size_t>(use.index), layout);
    }
    return std::move(region_);
  }

 private:
  void add_value(Value* value, const Permutation& p) {
    if (region_.layout_of.try_emplace(value, p).second) region_.values.push_back(value);
  }

  bool agrees(const Value* value, const Permutation& p) const {
    const auto found = region_.layout_of.find(value);
    return found == region_.layout_of.end() || found->second == p;
  }

  void add_node(Node* node, bool of_result, size_t index, const Permutation& p) {
    if (visited_.contains(node)) return;
    std::optional<NodeLayouts> layouts = permuted_layouts(*node, of_result, index, p);
    if (!layouts) return;
    const auto carries = [](const Value* value, const Permutation& layout) {
      return value && !layout.empty() && value->type.rank() == static_cast<int64_t>(layout.size());
    };
    for (size_t i = 0; i < node->inputs().size(); ++i) {
      if (carries(node->input(i), layouts->operands[i]) && !agrees(node->input(i), layouts->operands[i])) return;
    }
    for (size_t i = 0; i < node->outputs().size(); ++i) {
      if (carries(node->output(i), layouts->results[i]) && !agrees(node->output(i), layouts->results[i])) return;
    }
    for (size_t i = 0; i < node->inputs().size(); ++i) {
      if (carries(node->input(i), layouts->operands[i])) add_value(node->input(i), layouts->operands[i]);
    }
    for (size_t i = 0; i < node->outputs().size(); ++i) {
      if (carries(node->output(i), layouts->results[i])) add_value(node->output(i), layouts->results[i]);
    }
    visited_.insert(node);
    region_.nodes.push_back(node);
    region_.layouts[node] = std::move(*layouts);
  }

  std::unordered_set<const Node*>& visited_;
  TransposeRegion region_;
};

// The choice of layouts in a region as a minimum cut.
class Choice {
 public:
  Choice(const TransposeRegion& region, const std::unordered_set<const Value*>& results) : region_(region), results_(results) {
    for (const Node* node : region.nodes) variable_[node] = variables_++;
    for (const Value* value : region.values) add_value(*value);
    for (const Node* node : region.nodes) add_broadcast_operands(*node);
  }

  // The permuted nodes of the best choice; none when what is there is as good.
  std::vector<Node*> best() const {
    MinimumCut cut;
    while (cut.add_node() < variables_ - 1) {
    }
    for (const Term& term : terms_) add_term(cut, term);
    cut.solve();
    Labels labels(static_cast<size_t>(variables_), false);
    labels[kPermuted] = true;
    const Labels present = labels;
    for (int i = 2; i < variables_; ++i) labels[static_cast<size_t>(i)] = cut.on_source_side(i);
    std::vector<Node*> permuted;
    if (cost(labels) >= cost(present)) return permuted;
    for (Node* node : region_.nodes) {
      if (labels[static_cast<size_t>(variable_.at(node))]) permuted.push_back(node);
    }
    return permuted;
  }

 private:
  static void add_term(MinimumCut& cut, const Term& term) {
    const int to_natural = cut.add_node(), to_permuted = cut.add_node();
    cut.add_edge(term.producer, to_natural, term.weight);
    cut.add_edge(to_permuted, term.producer, term.weight);
    for (int consumer : term.consumers) {
      cut.add_edge(to_natural, consumer, MinimumCut::kInfinite);
      cut.add_edge(consumer, to_permuted, MinimumCut::kInfinite);
    }
  }

  int64_t cost(const Labels& labels) const {
    int64_t total = 0;
    for (const Term& term : terms_) {
      const bool producer = labels[static_cast<size_t>(term.producer)];
      total += std::ranges::any_of(term.consumers, [&](int c) { return labels[static_cast<size_t>(c)] != producer; }) ? term.weight : 0;
    }
    return total;
  }

  // Who makes a value: a node of the region, a Transpose that undoes the permutation, another one (which can make
  // either), or a node that stays.
  int producer_of(const Value& value, const Permutation& p) {
    const Node* node = value.producer();
    if (!node) return kNatural;
    if (const auto found = variable_.find(node); found != variable_.end()) return found->second;
    if (!is_transpose(node)) return kNatural;
    const auto q = permutation_of(*node);
    return q && is_identity(compose(*q, p)) ? kPermuted : variables_++;
  }

  std::optional<int> consumer_of(const Use& use, const Permutation& p) const {
    if (const auto found = variable_.find(use.node); found != variable_.end()) {
      return region_.layouts.at(use.node).operands[static_cast<size_t>(use.index)].empty() ? kNatural : found->second;
    }
    if (!is_transpose(use.node)) return kNatural;
    const auto q = permutation_of(*use.node);
    return q && *q == p ? std::optional(kPermuted) : std::nullopt;
  }

  void add_value(const Value& value) {
    const Permutation& p = region_.layout_of.at(&value);
    if (value.constant()) return;
    Term term;
    for (const Use& use : value.uses()) {
      if (std::optional<int> consumer = consumer_of(use, p)) term.consumers.push_back(*consumer);
    }
    if (results_.contains(&value)) term.consumers.push_back(kNatural);
    if (term.consumers.empty()) return;
    term.producer = producer_of(value, p);
    // Where nothing moves, one node less is still better. Of equal choices, one that leaves elementwise nodes beside
    // the contraction that makes their operand.
    const Node* source = value.producer();
    if (is_transpose(source)) source = source->input(0)->producer();
    const bool parts = is_contraction(source) && std::ranges::any_of(term.consumers, [](int c) { return c > kNatural; });
    term.weight = std::max<int64_t>(transpose_cost(value, p) * 8, 1) + (parts ? 1 : 0);
    terms_.push_back(std::move(term));
  }

  // Operands that broadcast from a lower rank are transposed for their node alone.
  void add_broadcast_operands(const Node& node) {
    const NodeLayouts& layouts = region_.layouts.at(&node);
    for (size_t i = 0; i < node.inputs().size(); ++i) {
      const Value* operand = node.input(i);
      const Permutation& p = layouts.operands[i];
      if (!operand || p.empty() || operand->constant() || operand->type.rank() == static_cast<int64_t>(p.size())) continue;
      Shape shape(p.size() - operand->type.shape->size(), Dim(1));
      shape.insert(shape.end(), operand->type.shape->begin(), operand->type.shape->end());
      terms_.push_back({kNatural, {variable_.at(&node)}, moves_nothing(shape, p) ? 1 : transpose_cost(*operand, p) * 8});
    }
  }

  const TransposeRegion& region_;
  const std::unordered_set<const Value*>& results_;
  std::unordered_map<const Node*, int> variable_;
  int variables_ = 2;
  std::vector<Term> terms_;
};

}  // namespace

bool is_transpose(const Node* node) { return node && node->op().name == "Transpose"; }

bool is_contraction(const Node* node) {
  constexpr std::string_view kOps[] = {"Fused", "Conv", "ConvTranspose", "ConvInteger", "MatMul", "MatMulInteger", "Gemm", "MaxPool", "AveragePool"};
  return node && std::ranges::find(kOps, node->op().name) != std::end(kOps);
}

int64_t transpose_cost(const Value& value, const Permutation& p) {
  constexpr int64_t kMost = int64_t{1} << 40;
  const Shape& shape = *value.type.shape;
  if (p.size() == shape.size() && moves_nothing(shape, p)) return 0;
  int64_t elements = 1;
  for (const Dim& dim : shape) elements = std::min(kMost, elements * std::clamp<int64_t>(estimated(dim), 1, kMost / 1024));
  const DType dtype = value.type.dtype;
  const bool whole = dtype != DType::kUndefined && dtype != DType::kString && element_bits(dtype) >= 8;
  return elements * (whole ? element_bits(dtype) / 8 : 1);
}

TransposeRegion grow_region(Value* start, const Permutation& p, std::unordered_set<const Node*>& visited) {
  return RegionFinder(visited).grow(start, p);
}

std::vector<Node*> nodes_to_permute(const TransposeRegion& region, const std::unordered_set<const Value*>& results) {
  return Choice(region, results).best();
}

}  // namespace gannet
