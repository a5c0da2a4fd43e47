// Transposes move through nodes that can work in either order of dimensions, so that opposite ones meet and cancel.
//
// For one permutation p at a time, nodes around the Transposes that are p or undo it form regions, and every node of a
// region works either on the layout it has or on the one permuted by p. Bytes that Transposes move between nodes of
// different layouts are the cost of a choice, and the cheapest choice of a region is a minimum cut. It is applied
// where it costs less than what is there, so the bytes moved only ever decrease.
#include <algorithm>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "ir/builder.h"
#include "ir/op.h"
#include "passes/minimum_cut.h"
#include "passes/pass.h"
#include "passes/permute_node.h"

namespace gannet {
namespace {

bool is_transpose(const Node* node) { return node && node->op().name == "Transpose"; }

// Ops that take Transposes of their operands and of their result into their own strides.
bool is_contraction(const Node* node) {
  constexpr std::string_view kOps[] = {"Fused", "Conv", "ConvTranspose", "ConvInteger", "MatMul", "MatMulInteger", "Gemm", "MaxPool", "AveragePool"};
  return node && std::ranges::find(kOps, node->op().name) != std::end(kOps);
}

// What transposing `value` by `p` costs, in bytes; 0 where nothing moves.
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

using Labels = std::vector<bool>;  // of the variables: whether permuted

// The cost of a choice: one term for each value that may have to be transposed.
struct Term {
  int producer = 0;
  std::vector<int> consumers;
  int64_t weight = 0;
};

constexpr int kPermuted = MinimumCut::kSource, kNatural = MinimumCut::kSink;

// Nodes that may be permuted together, and the permuted layouts of their values.
struct Region {
  std::vector<Node*> nodes;
  std::unordered_map<const Node*, NodeLayouts> layouts;
  std::unordered_map<const Value*, Permutation> layout_of;
  std::vector<Value*> values;  // the keys of layout_of in the order of discovery
};

class RegionFinder {
 public:
  explicit RegionFinder(std::unordered_set<const Node*>& visited) : visited_(visited) {}

  Region grow(Value* start, const Permutation& p) {
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
  Region region_;
};

// The choice of layouts in a region as a minimum cut.
class Choice {
 public:
  Choice(const Region& region, const std::unordered_set<const Value*>& results) : region_(region), results_(results) {
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

  const Region& region_;
  const std::unordered_set<const Value*>& results_;
  std::unordered_map<const Node*, int> variable_;
  int variables_ = 2;
  std::vector<Term> terms_;
};

// Builds the nodes of a region anew in their permuted form.
class Rewriter {
 public:
  Rewriter(Graph& graph, const Region& region) : graph_(graph), region_(region) {}

  // `nodes` in topological order.
  Status run(const std::vector<Node*>& nodes) {
    for (Node* node : nodes) TRY(rebuild(*node));
    for (Node* node : nodes) {
      for (Value* result : node->outputs()) {
        if (result && made_.contains(result)) TRY(reconnect(result, node));
      }
    }
    for (auto node = nodes.rbegin(); node != nodes.rend(); ++node) graph_.erase(*node);
    for (const auto& [made, name] : names_) graph_.rename(made, name);
    return {};
  }

 private:
  Status rebuild(Node& node) {
    const NodeLayouts& layouts = region_.layouts.at(&node);
    std::vector<Value*> operands;
    for (size_t i = 0; i < node.inputs().size(); ++i) {
      Value* operand = node.input(i);
      if (!operand) operands.push_back(nullptr);
      else if (layouts.operands[i].empty()) operands.push_back(TRY(natural(operand, node)));
      else operands.push_back(TRY(permuted_operand(operand, i, layouts.operands[i], node)));
    }
    Node* made = TRY(add_permuted_node(graph_, node, layouts, std::move(operands)));
    for (size_t i = 0; i < node.outputs().size(); ++i) {
      Value* old = node.output(i);
      if (!old) continue;
      made_[old] = {made->output(i), layouts.results[i]};
      // Inference may have made fresh symbols for what the old ones still stand for.
      made->output(i)->type.shape = layouts.results[i].empty() ? *old->type.shape : permuted(*old->type.shape, layouts.results[i]);
    }
    node.succeed(*made);
    return {};
  }

  // `value` as it was, for a node that is built anew.
  Result<Value*> natural(Value* value, Node& before) {
    const auto found = made_.find(value);
    if (found == made_.end()) return value;
    if (found->second.second.empty()) return found->second.first;
    return transposed(found->second.first, inverse(found->second.second), before);
  }

  // A Transpose in front of `before`, or a Reshape where nothing moves.
  Result<Value*> transposed(Value* value, const Permutation& p, Node& before) {
    if (is_identity(p)) return value;
    GraphBuilder b(graph_, &before);
    const Shape& shape = *value->type.shape;
    Value* result = moves_nothing(shape, p) ? b.reshape(value, permuted(shape, p)) : b.transpose(value, p);
    TRY(b.status());
    result->producer()->set_sources({});
    return result;
  }

  // True where operand `index` may have fewer dimensions than the result: another one has them all.
  static bool may_broadcast(const Node& node, size_t index, size_t rank) {
    if (!node.op().body && node.op().name != "Map") return false;
    for (size_t i = 0; i < node.inputs().size(); ++i) {
      const Value* other = node.input(i);
      if (i != index && other && !other->constant() && other->type.rank() == static_cast<int64_t>(rank)) return true;
    }
    return false;
  }

  Result<Value*> permuted_operand(Value* value, size_t index, const Permutation& p, Node& before) {
    if (const Tensor* tensor = value->constant()) {
      return permuted_constant(*tensor, p, may_broadcast(before, index, p.size()), before);
    }
    if (const auto found = made_.find(value); found != made_.end() && found->second.second == p) return found->second.first;
    Value*& known = permuted_[{value, p}];
    if (known) return known;
    const size_t missing = p.size() - value->type.shape->size();
    if (missing > 0) {
      GraphBuilder b(graph_, &before);
      Shape shape(missing, Dim(1));
      shape.insert(shape.end(), value->type.shape->begin(), value->type.shape->end());
      Value* wide = b.reshape(TRY(natural(value, before)), shape);
      TRY(b.status());
      known = TRY(transposed(wide, p, before));
    } else if (is_transpose(value->producer()) && permutation_of(*value->producer())) {
      Value* source = value->producer()->input(0);
      const auto found = made_.find(source);
      const bool moved = found != made_.end() && !found->second.second.empty();
      if (found != made_.end()) source = found->second.first;
      const Permutation from = compose(*permutation_of(*value->producer()), p);
      known = TRY(transposed(source, moved ? compose(inverse(found->second.second), from) : from, before));
    } else {
      known = TRY(transposed(TRY(natural(value, before)), p, before));
    }
    return known;
  }

  Result<Value*> permuted_constant(const Tensor& tensor, const Permutation& p, bool trim, Node& before) {
    std::vector<int64_t> extents(p.size() - tensor.extents().size(), 1);
    extents.insert(extents.end(), tensor.extents().begin(), tensor.extents().end());
    Tensor result = TRY(permuted(tensor.reshaped(extents), p));
    std::vector<int64_t> trimmed = result.extents();
    while (trim && trimmed.size() > 1 && trimmed.front() == 1) trimmed.erase(trimmed.begin());
    return graph_.add_constant(result.reshaped(trimmed), "", &before);
  }

  // Gives the remaining uses of `old` what they need of the permuted value.
  Status reconnect(Value* old, Node* before) {
    const auto [made, p] = made_.at(old);
    if (p.empty()) {
      graph_.replace_uses(old, made);
      names_.push_back({made, old->name});
      return {};
    }
    const std::vector<Use> uses(old->uses().begin(), old->uses().end());
    bool needed = graph_.is_result(old);
    for (const Use& use : uses) {
      if (rebuilt(use.node)) continue;
      const auto q = is_transpose(use.node) ? permutation_of(*use.node) : std::nullopt;
      if (!q) {
        needed = true;
        continue;
      }
      const Permutation rest = compose(inverse(p), *q);
      if (is_identity(rest)) {
        graph_.replace_uses(use.node->output(), made);
      }
      graph_.set_operand(use.node, 0, made);
      use.node->attrs.set("perm", rest);
    }
    Value* heir = needed ? TRY(transposed(made, inverse(p), *before)) : made;
    if (needed) graph_.replace_uses(old, heir);
    if (heir != made) {
      heir->producer()->set_sources({});
      old->producer()->succeed(*made->producer());
    }
    names_.push_back({heir, old->name});
    return {};
  }

  bool rebuilt(const Node* node) const {
    return region_.layouts.contains(node) && std::ranges::any_of(node->outputs(), [&](const Value* v) { return v && made_.contains(v); });
  }

  Graph& graph_;
  const Region& region_;
  std::unordered_map<const Value*, std::pair<Value*, Permutation>> made_;  // new results and their layouts
  std::map<std::pair<Value*, Permutation>, Value*> permuted_;
  std::vector<std::pair<Value*, std::string>> names_;
};

// Transposes of Transposes become one, and those that do nothing go.
bool merge_neighbours(Graph& graph) {
  bool changed = false;
  for (const auto& node : graph.nodes()) {
    if (!is_transpose(node.get())) continue;
    std::optional<Permutation> p = permutation_of(*node);
    Node* before = node->input(0)->producer();
    if (p && is_transpose(before) && permutation_of(*before)) {
      p = compose(*permutation_of(*before), *p);
      graph.set_operand(node.get(), 0, before->input(0));
      node->attrs.set("perm", *p);
      changed = true;
    }
    if (p && is_identity(*p) && !(node->output()->uses().empty() && !graph.is_result(node->output()))) {
      graph.replace_uses(node->output(), node->input(0));
      changed = true;
    }
  }
  if (changed) erase_dead_nodes(graph);
  return changed;
}

// The permutations worth trying, those that move most elements first.
std::vector<Permutation> candidates(const Graph& graph) {
  constexpr size_t kMost = 8;
  std::map<Permutation, int64_t> elements;
  for (const auto& node : graph.nodes()) {
    if (!is_transpose(node.get())) continue;
    const auto p = permutation_of(*node);
    if (!p || !node->input(0)->type.shape) continue;
    const int64_t cost = transpose_cost(*node->input(0), *p);
    elements[*p] += cost;
    if (const Permutation opposite = inverse(*p); opposite != *p) elements[opposite] += cost;
  }
  std::vector<std::pair<int64_t, Permutation>> ordered;
  for (const auto& [p, cost] : elements) {
    if (cost > 0) ordered.push_back({-cost, p});
  }
  std::ranges::sort(ordered);
  if (ordered.size() > kMost) ordered.resize(kMost);
  std::vector<Permutation> result;
  for (auto& [cost, p] : ordered) result.push_back(std::move(p));
  return result;
}

// Where a region may start: values that a Transpose by `p` takes, and those that one by its inverse makes.
std::vector<Value*> starts(const Graph& graph, const Permutation& p) {
  const Permutation opposite = inverse(p);
  std::vector<Value*> values;
  for (const auto& node : graph.nodes()) {
    if (!is_transpose(node.get()) || !node->input(0)->type.shape) continue;
    const auto q = permutation_of(*node);
    if (q == p) values.push_back(node->input(0));
    if (q == opposite) values.push_back(node->output());
  }
  return values;
}

std::unordered_set<const Value*> results_of(const Graph& graph) {
  std::unordered_set<const Value*> results;
  for (const GraphOutput& output : graph.outputs) results.insert(output.value);
  for (const State& state : graph.states) results.insert(state.out);
  return results;
}

// Moves all Transposes that `p` can move once.
Result<bool> move_by(Graph& graph, const Permutation& p) {
  std::unordered_map<const Node*, size_t> position;
  for (const auto& node : graph.nodes()) position[node.get()] = position.size();
  const std::unordered_set<const Value*> results = results_of(graph);
  std::vector<std::pair<Region, std::vector<Node*>>> chosen;
  std::unordered_set<const Node*> visited;
  std::unordered_set<const Value*> seen;
  for (Value* start : starts(graph, p)) {
    if (seen.contains(start)) continue;
    Region region = RegionFinder(visited).grow(start, p);
    seen.insert(region.values.begin(), region.values.end());
    if (region.nodes.empty()) continue;
    std::vector<Node*> nodes = Choice(region, results).best();
    if (nodes.empty()) continue;
    std::ranges::sort(nodes, {}, [&](const Node* node) { return position.at(node); });
    chosen.emplace_back(std::move(region), std::move(nodes));
  }
  for (auto& [region, nodes] : chosen) TRY(Rewriter(graph, region).run(nodes));
  if (!chosen.empty()) erase_dead_nodes(graph);
  return !chosen.empty();
}

// Transposes that move no element become Reshapes, which cost nothing.
Result<bool> reshape_idle(Graph& graph) {
  std::vector<Node*> idle;
  for (const auto& node : graph.nodes()) {
    const auto p = is_transpose(node.get()) ? permutation_of(*node) : std::nullopt;
    if (p && node->input(0)->type.shape && moves_nothing(*node->input(0)->type.shape, *p)) idle.push_back(node.get());
  }
  for (Node* node : idle) {
    GraphBuilder b(graph, node);
    Value* reshaped = b.op("Reshape", {node->input(0), b.dims(*node->output()->type.shape)}, {{"allowzero", int64_t{1}}});
    TRY(b.status());
    const std::string name = node->output()->name;
    reshaped->producer()->name = node->name;
    graph.replace_uses(node->output(), reshaped);
    graph.erase(node);
    graph.rename(reshaped, name);
  }
  return !idle.empty();
}

// Says of each Transpose that is left and not beside a contraction what holds it.
void explain_rest(const Graph& graph, PassContext& context) {
  for (const auto& node : graph.nodes()) {
    if (!is_transpose(node.get()) || is_contraction(node->input(0)->producer())) continue;
    for (const Use& use : node->output()->uses()) {
      if (is_contraction(use.node) || is_transpose(use.node)) continue;
      const auto p = permutation_of(*node);
      const bool passes = p && permuted_layouts(*use.node, false, static_cast<size_t>(use.index), inverse(*p)).has_value();
      context.remark(*node, passes ? fmt::format("moving it past {} would not save a transposition", use.node->op().name)
                                   : fmt::format("{} cannot work on permuted dimensions", use.node->op().name));
      break;
    }
  }
}

}  // namespace

Result<bool> move_transposes(Graph& graph, PassContext& context) {
  constexpr int kMostRounds = 16;
  bool changed = merge_neighbours(graph);
  bool moved = true;
  for (int round = 0; moved && round < kMostRounds; ++round) {
    moved = false;
    for (const Permutation& p : candidates(graph)) moved |= TRY(move_by(graph, p));
    if (moved) merge_neighbours(graph);
    changed |= moved;
  }
  changed |= TRY(reshape_idle(graph));
  explain_rest(graph, context);
  return changed;
}

}  // namespace gannet
