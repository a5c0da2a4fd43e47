// Elementwise nodes and reductions over one iteration space become one Fused node of kind "region": one kernel that
// reads its operands and writes its results once. Regions grow from producers to consumers in the order of the graph.
#include <algorithm>
#include <array>
#include <memory>
#include <unordered_map>
#include <unordered_set>

#include "ir/op.h"
#include "passes/fusion.h"
#include "passes/pass.h"

namespace gannet {
namespace {

constexpr size_t kMostMembers = 48;
constexpr size_t kMostOperands = 24;

// What a node asks of the region it may belong to: the widest shape it works on, and the trailing axes it
// reduces, counted as how many (0: none).
struct Demand {
  Shape space;
  size_t reduced_axes = 0;
};

bool is_generated_type(DType dtype) {
  switch (dtype) {
    case DType::kF64: case DType::kF32: case DType::kF16: case DType::kBF16: case DType::kBool:
    case DType::kI8: case DType::kI16: case DType::kI32: case DType::kI64:
    case DType::kU8: case DType::kU16: case DType::kU32: case DType::kU64: return true;
    default: return false;
  }
}

bool has_generated_types(const Node& node) {
  auto fits = [](const Value* value) { return !value || (value->type.is_tensor() && value->type.shape && is_generated_type(value->type.dtype)); };
  return std::ranges::all_of(node.inputs(), fits) && std::ranges::all_of(node.outputs(), fits);
}

// How many trailing axes `axes` names of `rank`; 0 where they are not the trailing ones.
size_t trailing(std::vector<int64_t> axes, size_t rank) {
  for (int64_t& axis : axes) axis += axis < 0 ? static_cast<int64_t>(rank) : 0;
  std::ranges::sort(axes);
  for (size_t i = 0; i < axes.size(); ++i) {
    if (axes[i] != static_cast<int64_t>(rank - axes.size() + i)) return 0;
  }
  return axes.size();
}

constexpr std::array<std::string_view, 9> kReductions = {"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd",
                                                         "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp"};

std::optional<Demand> demand_of_reduction(const Node& node) {
  const Shape& x = *node.input(0)->type.shape;
  if (node.attrs.integer("keepdims") == 0) return std::nullopt;
  const std::optional<std::vector<int64_t>> axes = constant_ints(node.input(1));
  if (!axes) return std::nullopt;
  const size_t count = trailing(*axes, x.size());
  if (count == 0) return std::nullopt;
  return Demand{x, count};
}

// What `node` demands where it may be part of a region; nothing where it may not.
std::optional<Demand> demand_of(const Node& node) {
  if (!has_generated_types(node) || node.outputs().size() != 1 || node.inputs().empty()) return std::nullopt;
  const std::string_view op = node.op().name;
  const Shape& y = *node.output()->type.shape;
  if (is_elementwise(node) || op == "Cast") return Demand{y, 0};
  if (std::ranges::find(kReductions, op) != kReductions.end()) return demand_of_reduction(node);
  if (op == "Softmax" || op == "LogSoftmax") {
    const size_t count = trailing({node.attrs.integer("axis")}, y.size());
    return count == 0 ? std::nullopt : std::optional(Demand{y, count});
  }
  if (op == "LayerNormalization" || op == "RMSNormalization") {
    const int64_t axis = node.attrs.integer("axis");
    const auto rank = static_cast<int64_t>(y.size());
    return Demand{y, static_cast<size_t>(axis < 0 ? -axis : rank - axis)};
  }
  return std::nullopt;
}

bool is_reduced_form(const Shape& shape, const Shape& space, size_t reduced_axes) {
  if (reduced_axes == 0 || shape.size() != space.size()) return false;
  for (size_t i = 0; i < shape.size(); ++i) {
    const bool reduced = i + reduced_axes >= shape.size();
    if (reduced ? !shape[i].is_constant(1) : shape[i] != space[i]) return false;
  }
  return true;
}

struct Region {
  std::vector<Node*> members;  // in the order of the graph
  Shape space;
  size_t reduced_axes = 0;
};

class Grower {
 public:
  explicit Grower(const Graph& graph) {
    for (const auto& node : graph.nodes()) index_[node.get()] = index_.size();
  }

  void visit(Node& node) {
    const std::optional<Demand> demand = demand_of(node);
    if (!demand) return;
    auto own = std::make_shared<Region>(Region{{&node}, demand->space, demand->reduced_axes});
    assign(own);
    for (const Value* operand : node.inputs()) {
      if (!operand || !operand->producer()) continue;
      auto found = region_.find(operand->producer());
      if (found == region_.end() || found->second == region_.at(&node)) continue;
      try_merge(found->second, region_.at(&node));
    }
  }

  // Regions of two nodes and more, in the order of their first members.
  std::vector<std::shared_ptr<Region>> regions(const Graph& graph) const {
    std::vector<std::shared_ptr<Region>> result;
    for (const auto& node : graph.nodes()) {
      auto found = region_.find(node.get());
      if (found != region_.end() && found->second->members.size() > 1 && found->second->members.front() == node.get()) {
        result.push_back(found->second);
      }
    }
    return result;
  }

 private:
  using RegionRef = std::shared_ptr<Region>;

  void assign(const RegionRef& region) {
    for (Node* member : region->members) region_[member] = region;
  }

  // Merges producers and consumers into one region where they fit together.
  void try_merge(RegionRef producers, RegionRef consumers) {
    if (producers->members.size() + consumers->members.size() > kMostMembers) return;
    auto merged = std::make_shared<Region>();
    std::ranges::merge(producers->members, consumers->members, std::back_inserter(merged->members), {},
                       [&](Node* n) { return index_.at(n); }, [&](Node* n) { return index_.at(n); });
    if (!common_space(*producers, *consumers, *merged) || operand_count(*merged) > kMostOperands) return;
    const std::vector<RegionRef> parts = {producers, consumers};
    assign(merged);
    if (!is_convex(*merged)) {
      for (const RegionRef& part : parts) assign(part);
    }
  }

  // The space of both: equal, or one of them works on what the other reduces.
  static bool common_space(const Region& a, const Region& b, Region& merged) {
    if (a.reduced_axes != 0 && b.reduced_axes != 0 && a.reduced_axes != b.reduced_axes) return false;
    merged.reduced_axes = std::max(a.reduced_axes, b.reduced_axes);
    if (a.space == b.space) {
      merged.space = a.space;
      return true;
    }
    const bool b_on_reduced = a.reduced_axes != 0 && b.reduced_axes == 0 && is_reduced_form(b.space, a.space, a.reduced_axes);
    const bool a_on_reduced = b.reduced_axes != 0 && a.reduced_axes == 0 && is_reduced_form(a.space, b.space, b.reduced_axes);
    merged.space = b_on_reduced ? a.space : b.space;
    return b_on_reduced || a_on_reduced;
  }

  static size_t operand_count(const Region& region) {
    std::unordered_set<const Value*> operands, results;
    for (const Node* member : region.members) {
      for (const Value* operand : member->inputs()) operands.insert(operand);
      results.insert(member->output());
    }
    return static_cast<size_t>(std::ranges::count_if(operands, [&](const Value* v) { return v && !v->constant() && !results.contains(v); }));
  }

  // No path leaves `region` and comes back, where the members of every other region count as one node.
  bool is_convex(const Region& region) const {
    const size_t first = index_.at(region.members.front());
    std::vector<const Node*> stack;
    std::unordered_set<const Node*> seen;
    auto push_operands = [&](const Node* node) {
      for (const Value* operand : node->inputs()) {
        if (operand && operand->producer() && seen.insert(operand->producer()).second) stack.push_back(operand->producer());
      }
    };
    for (const Node* member : region.members) seen.insert(member);
    for (const Node* member : region.members) push_operands(member);
    while (!stack.empty()) {
      const Node* node = stack.back();
      stack.pop_back();
      auto found = region_.find(node);
      const bool alone = found == region_.end();
      if (alone && index_.at(node) < first) continue;
      if (!alone && index_.at(found->second->members.back()) < first) continue;
      const std::vector<const Node*> unit = alone ? std::vector<const Node*>{node} : std::vector<const Node*>(found->second->members.begin(), found->second->members.end());
      for (const Node* part : unit) {
        for (const Value* operand : part->inputs()) {
          if (!operand || !operand->producer()) continue;
          auto other = region_.find(operand->producer());
          if (other != region_.end() && other->second.get() == &region) return false;
        }
        seen.insert(part);
        push_operands(part);
      }
    }
    return true;
  }

  std::unordered_map<const Node*, size_t> index_;
  std::unordered_map<const Node*, RegionRef> region_;
};

}  // namespace

Result<bool> fuse_regions(Graph& graph, PassContext&) {
  Grower grower(graph);
  for (const auto& node : graph.nodes()) grower.visit(*node);
  const std::vector<std::shared_ptr<Region>> regions = grower.regions(graph);
  for (const auto& region : regions) TRY(fuse_nodes(graph, region->members, "region"));
  if (!regions.empty()) sort_nodes(graph);
  return !regions.empty();
}

}  // namespace gannet
