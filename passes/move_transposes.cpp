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
#include "passes/pass.h"
#include "passes/transpose_region.h"

namespace gannet {
namespace {

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
  std::vector<std::pair<TransposeRegion, std::vector<Node*>>> chosen;
  std::unordered_set<const Node*> visited;
  std::unordered_set<const Value*> seen;
  for (Value* start : starts(graph, p)) {
    if (seen.contains(start)) continue;
    TransposeRegion region = grow_region(start, p, visited);
    seen.insert(region.values.begin(), region.values.end());
    if (region.nodes.empty()) continue;
    std::vector<Node*> nodes = nodes_to_permute(region, results);
    if (nodes.empty()) continue;
    std::ranges::sort(nodes, {}, [&](const Node* node) { return position.at(node); });
    chosen.emplace_back(std::move(region), std::move(nodes));
  }
  for (auto& [region, nodes] : chosen) TRY(permute_nodes(graph, region, nodes));
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
