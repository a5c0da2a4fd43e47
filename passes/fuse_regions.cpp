// Elementwise nodes and reductions over one iteration space become one Fused node of kind "region": one kernel that
// reads its operands and writes its results once. Regions grow from producers to consumers in the order of the graph.
//
// A region reduces either trailing axes, rows, whose totals its other nodes may use, or other axes, columns, whose
// totals only leave it. Where columns are summed of values that a region over rows computes, cheap ones are computed
// once more from its operands.
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

// What a node asks of the region it may belong to: the widest shape it works on, and which of its axes it reduces; empty
// for none.
struct Demand {
  Shape space;
  std::vector<bool> reduced;

  bool columns() const { return !reduced.empty() && !reduced.back(); }
};

std::vector<bool> last_axes(size_t count, size_t rank) {
  std::vector<bool> reduced(rank, false);
  std::fill(reduced.end() - static_cast<std::ptrdiff_t>(count), reduced.end(), true);
  return reduced;
}

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

constexpr std::array<std::string_view, 7> kColumnReductions = {"ReduceSum",  "ReduceMean", "ReduceMax",      "ReduceMin",
                                                               "ReduceProd", "ReduceL1",   "ReduceSumSquare"};

// Whether it sums numbers that are widened to f64 on the way, which take twice the memory of what they come from where
// they are written down.
bool sums_widened(const Node& reduction) {
  const Value* x = reduction.input(0);
  auto is_widened = [](const Value* value) {
    return value->producer() && value->producer()->op().name == "Cast" && value->producer()->input(0)->type.dtype != DType::kF64;
  };
  if (x->type.dtype != DType::kF64 || !x->producer()) return false;
  return is_widened(x) || (is_elementwise(*x->producer()) && std::ranges::all_of(x->producer()->inputs(), [&](const Value* operand) {
                             return operand && is_widened(operand);
                           }));
}

std::optional<Demand> demand_of_reduction(const Node& node, bool columns) {
  const Shape& x = *node.input(0)->type.shape;
  const std::optional<std::vector<int64_t>> axes = constant_ints(node.input(1));
  if (!axes) return std::nullopt;
  if (const size_t count = trailing(*axes, x.size()); count > 0) {
    return node.attrs.integer("keepdims") == 0 ? std::nullopt : std::optional(Demand{x, last_axes(count, x.size())});
  }
  if (!(columns || sums_widened(node)) || axes->empty() || std::ranges::find(kColumnReductions, node.op().name) == kColumnReductions.end()) return std::nullopt;
  Demand demand{x, std::vector<bool>(x.size(), false)};
  for (const int64_t axis : *axes) demand.reduced[static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(x.size()) : axis)] = true;
  return demand.columns() ? std::optional(demand) : std::nullopt;
}

// What `node` demands where it may be part of a region, with `columns` also any over columns; nothing where it may not.
std::optional<Demand> demand_of(const Node& node, bool columns) {
  if (!has_generated_types(node) || node.outputs().size() != 1 || node.inputs().empty()) return std::nullopt;
  const std::string_view op = node.op().name;
  const Shape& y = *node.output()->type.shape;
  if (is_elementwise(node) || op == "Cast" || op == "SeededDropout") return Demand{y, {}};
  if (std::ranges::find(kReductions, op) != kReductions.end()) return demand_of_reduction(node, columns);
  if (op == "Softmax" || op == "LogSoftmax") {
    const size_t count = trailing({node.attrs.integer("axis")}, y.size());
    return count == 0 ? std::nullopt : std::optional(Demand{y, last_axes(count, y.size())});
  }
  if (op == "LayerNormalization" || op == "RMSNormalization") {
    const int64_t axis = node.attrs.integer("axis");
    const auto rank = static_cast<int64_t>(y.size());
    return Demand{y, last_axes(static_cast<size_t>(axis < 0 ? -axis : rank - axis), y.size())};
  }
  return std::nullopt;
}

bool is_reduced_form(const Shape& shape, const Demand& whole) {
  if (whole.reduced.empty() || whole.columns() || shape.size() != whole.space.size()) return false;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (whole.reduced[i] ? !shape[i].is_constant(1) : shape[i] != whole.space[i]) return false;
  }
  return true;
}

bool reduces_columns(const Node& node) {
  const std::optional<Demand> demand = demand_of(node, true);
  return demand && demand->columns();
}

// Whether `value` has one element for each row of `space`, as the totals of its rows have.
bool has_one_a_row(const Value& value, const Shape& space) {
  const Shape& shape = *value.type.shape;
  return !shape.empty() && shape.size() == space.size() && shape.back().is_constant(1) && !space.back().is_constant(1) &&
         std::ranges::any_of(shape, [](const Dim& dim) { return !dim.is_constant(1); });
}

// The cheap elementwise nodes between a reduction of columns and values that stay in memory anyway.
class Cone {
 public:
  explicit Cone(const Node& reduction) : space_(*reduction.input(0)->type.shape) { collect(reduction.input(0)); }

  // Whether it hangs on totals of rows, so that it would be part of a region over rows.
  bool is_of_rows() const { return of_rows_ && !nodes_.empty() && nodes_.size() <= kMostNodes && leaves_.size() <= kMostLeaves; }
  // In the order of the graph.
  const std::vector<Node*>& nodes() const { return nodes_; }

 private:
  static constexpr size_t kMostNodes = 12, kMostLeaves = 3;

  static bool is_cheap(const Node& node) {
    constexpr std::array<std::string_view, 5> kCheap = {"Add", "Sub", "Mul", "Neg", "Cast"};
    return std::ranges::find(kCheap, node.op().name) != kCheap.end() && demand_of(node, false);
  }

  void collect(Value* value) {
    Node* node = value->producer();
    const bool whole = value->type.shape && *value->type.shape == space_;
    if (node && whole && is_cheap(*node) && nodes_.size() <= kMostNodes) {
      if (std::ranges::find(nodes_, node) != nodes_.end()) return;
      for (Value* operand : node->inputs()) collect(operand);
      if (std::ranges::find(nodes_, node) == nodes_.end()) nodes_.push_back(node);
    } else {
      if (whole && std::ranges::find(leaves_, value) == leaves_.end()) leaves_.push_back(value);
      of_rows_ |= value->type.shape && has_one_a_row(*value, space_);
    }
  }

  const Shape space_;
  std::vector<Node*> nodes_;
  std::vector<Value*> leaves_;
  bool of_rows_ = false;
};

// Gives a reduction of columns its own copies of the nodes of its cone that others use as well. Nodes that are to stay
// out of regions over rows are added to `kept_out`.
bool separate(Graph& graph, Node& reduction, std::unordered_set<const Node*>& kept_out) {
  const Cone cone(reduction);
  if (!cone.is_of_rows()) return false;
  // What others use, and what such nodes use, from the last to the first.
  std::unordered_set<const Node*> inside(cone.nodes().begin(), cone.nodes().end()), shared;
  for (size_t i = cone.nodes().size(); i-- > 0;) {
    const Value* result = cone.nodes()[i]->output();
    const bool used = graph.is_result(result) || std::ranges::any_of(result->uses(), [&](const Use& use) {
      return use.node != &reduction && (!inside.contains(use.node) || shared.contains(use.node));
    });
    if (used) shared.insert(cone.nodes()[i]);
  }
  bool changed = false;
  std::unordered_map<const Value*, Value*> copies;
  for (Node* node : cone.nodes()) {
    const bool on_copies = std::ranges::any_of(node->inputs(), [&](const Value* operand) { return copies.contains(operand); });
    if (!shared.contains(node) && !on_copies) {
      kept_out.insert(node);
      continue;
    }
    std::vector<Value*> operands;
    for (Value* operand : node->inputs()) operands.push_back(copies.contains(operand) ? copies.at(operand) : operand);
    Node* copy = graph.add_node(node->op(), std::move(operands), node->attrs, 1, &reduction);
    copy->name = node->name;
    copy->output()->type = node->output()->type;
    copies[node->output()] = copy->output();
    kept_out.insert(copy);
    changed = true;
  }
  if (const auto copy = copies.find(reduction.input(0)); copy != copies.end()) graph.set_operand(&reduction, 0, copy->second);
  return changed;
}

struct Region {
  std::vector<Node*> members;  // in the order of the graph
  Demand demand;
};

class Grower {
 public:
  Grower(const Graph& graph, bool columns, std::unordered_set<const Node*> kept_out) : columns_(columns), kept_out_(std::move(kept_out)) {
    for (const auto& node : graph.nodes()) index_[node.get()] = index_.size();
  }

  void visit(Node& node) {
    const std::optional<Demand> demand = demand_of(node, columns_);
    if (!demand) return;
    auto own = std::make_shared<Region>(Region{{&node}, *demand});
    assign(own);
    for (const Value* operand : node.inputs()) {
      if (!operand || !operand->producer()) continue;
      auto found = region_.find(operand->producer());
      if (found == region_.end() || found->second == region_.at(&node)) continue;
      try_merge(found->second, region_.at(&node));
    }
  }

  // Regions over columns that read the same become one.
  void join_columns() {
    std::unordered_map<const Value*, std::vector<Node*>> readers;
    std::vector<const Value*> order;
    for (const auto& [node, region] : ordered()) {
      if (!region->demand.columns()) continue;
      for (const Value* operand : node->inputs()) {
        if (!operand || !operand->type.shape || *operand->type.shape != region->demand.space) continue;
        std::vector<Node*>& all = readers[operand];
        if (all.empty()) order.push_back(operand);
        all.push_back(node);
      }
    }
    for (const Value* value : order) {
      const std::vector<Node*>& all = readers.at(value);
      for (size_t i = 1; i < all.size(); ++i) {
        if (region_.at(all[0]) != region_.at(all[i])) try_merge(region_.at(all[0]), region_.at(all[i]));
      }
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

  std::vector<std::pair<Node*, RegionRef>> ordered() const {
    std::vector<std::pair<Node*, RegionRef>> all;
    for (const auto& [node, region] : region_) {
      for (Node* member : region->members) {
        if (member == node) all.emplace_back(member, region);
      }
    }
    std::ranges::sort(all, {}, [&](const auto& entry) { return index_.at(entry.first); });
    return all;
  }

  // Totals of columns are complete only after the kernel that makes them.
  bool uses_totals_inside(const Region& region) const {
    if (!region.demand.columns()) return false;
    const std::unordered_set<const Node*> inside(region.members.begin(), region.members.end());
    return std::ranges::any_of(region.members, [&](const Node* member) {
      return std::ranges::any_of(member->inputs(), [&](const Value* operand) {
        return operand && operand->producer() && inside.contains(operand->producer()) && reduces_columns(*operand->producer());
      });
    });
  }

  bool is_kept_out(const Region& region) const {
    const bool rows = !region.demand.reduced.empty() && !region.demand.columns();
    return rows && std::ranges::any_of(region.members, [&](const Node* member) { return kept_out_.contains(member); });
  }

  void assign(const RegionRef& region) {
    for (Node* member : region->members) region_[member] = region;
  }

  // Merges producers and consumers into one region where they fit together.
  void try_merge(RegionRef producers, RegionRef consumers) {
    if (producers->members.size() + consumers->members.size() > kMostMembers) return;
    auto merged = std::make_shared<Region>();
    std::ranges::merge(producers->members, consumers->members, std::back_inserter(merged->members), {},
                       [&](Node* n) { return index_.at(n); }, [&](Node* n) { return index_.at(n); });
    if (!common_space(producers->demand, consumers->demand, merged->demand) || operand_count(*merged) > kMostOperands) return;
    if (uses_totals_inside(*merged) || is_kept_out(*merged)) return;
    const std::vector<RegionRef> parts = {producers, consumers};
    assign(merged);
    if (!is_convex(*merged)) {
      for (const RegionRef& part : parts) assign(part);
    }
  }

  // The space of both: equal, or one of them works on what the other reduces.
  static bool common_space(const Demand& a, const Demand& b, Demand& merged) {
    if (!a.reduced.empty() && !b.reduced.empty() && a.reduced != b.reduced) return false;
    merged.reduced = a.reduced.empty() ? b.reduced : a.reduced;
    if (a.space == b.space) {
      merged.space = a.space;
      return true;
    }
    const bool b_on_reduced = b.reduced.empty() && is_reduced_form(b.space, a);
    const bool a_on_reduced = a.reduced.empty() && is_reduced_form(a.space, b);
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

  const bool columns_;
  const std::unordered_set<const Node*> kept_out_;
  std::unordered_map<const Node*, size_t> index_;
  std::unordered_map<const Node*, RegionRef> region_;
};

Result<bool> fuse(Graph& graph, bool columns) {
  std::unordered_set<const Node*> kept_out;
  std::vector<Node*> reductions;
  for (const auto& node : graph.nodes()) {
    if (columns && reduces_columns(*node)) reductions.push_back(node.get());
  }
  bool changed = false;
  for (Node* reduction : reductions) changed |= separate(graph, *reduction, kept_out);
  if (changed) erase_dead_nodes(graph);
  Grower grower(graph, columns, std::move(kept_out));
  for (const auto& node : graph.nodes()) grower.visit(*node);
  grower.join_columns();
  const std::vector<std::shared_ptr<Region>> regions = grower.regions(graph);
  for (const auto& region : regions) TRY(fuse_nodes(graph, region->members, "region"));
  if (!regions.empty()) sort_nodes(graph);
  return changed || !regions.empty();
}

}  // namespace

Result<bool> fuse_regions(Graph& graph, PassContext&) { return fuse(graph, false); }

// For gradients: one position of what is not reduced is done by one thread, which is too little for a picture alone, but for
// statistics in f64, which would be written down otherwise.
Result<bool> fuse_regions_with_columns(Graph& graph, PassContext&) { return fuse(graph, true); }

}  // namespace gannet
