#include "passes/rematerialize.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "ir/op.h"
#include "passes/live_values.h"
#include "passes/pass.h"

namespace gannet {

namespace {

Result<int64_t> bytes_of(const Value& value, const SymbolValues& extents) {
  const Type& type = value.type;
  if (!type.is_tensor() || !type.shape || type.dtype == DType::kUndefined || type.dtype == DType::kString) return 0;
  int64_t bytes = element_size(type.dtype);
  for (const Dim& dim : *type.shape) bytes *= std::max<int64_t>(0, TRY(dim.evaluate(extents)));
  return bytes;
}

// Sizes do not change while nodes come and go.
class Sizes {
 public:
  explicit Sizes(const SymbolValues& extents) : extents_(extents) {}

  // What the value occupies of its own; nothing for what is always there and for new contents of a State.
  int64_t of(const Value* value) const {
    auto entry = bytes_.find(value);
    return entry == bytes_.end() ? 0 : entry->second;
  }
  Status add(const Value* value) {
    bytes_[value] = TRY(bytes_of(*value, extents_));
    return {};
  }
  void forget(const Value* value) { bytes_.erase(value); }
  double work(const Node& node) const {
    double work = 0;
    for (const Value* output : node.outputs()) work += output ? static_cast<double>(of(output)) / 4 : 0;
    if (const std::optional<Dim> flops = flops_of(node)) {
      const Result<int64_t> count = flops->evaluate(extents_);
      if (count.ok()) work += static_cast<double>(*count);
    }
    return work;
  }

  static Result<Sizes> of_graph(const Graph& graph, const SymbolValues& extents, int64_t& resident) {
    Sizes sizes(extents);
    resident = 0;
    for (const Value* input : graph.inputs()) resident += TRY(bytes_of(*input, extents));
    std::unordered_set<const Value*> in_place;
    for (const State& state : graph.states) {
      resident += TRY(bytes_of(*state.in, extents));
      in_place.insert(state.out);
    }
    for (const auto& node : graph.nodes()) {
      for (const Value* output : node->outputs()) {
        if (!output) continue;
        if (output->constant()) resident += output->constant()->dtype() == DType::kString ? 0 : output->constant()->bytes();
        else if (!in_place.contains(output)) TRY(sizes.add(output));
      }
    }
    return sizes;
  }

 private:
  const SymbolValues& extents_;
  std::unordered_map<const Value*, int64_t> bytes_;
};

struct Peak {
  int64_t bytes = 0;
  int64_t position = 0;
};

Peak peak_of(const LiveValues& live, const Sizes& sizes) {
  std::vector<int64_t> change(live.order().size() + 2, 0);
  for (const Node* node : live.order()) {
    for (const Value* output : node->outputs()) {
      if (!output || sizes.of(output) == 0) continue;
      change[static_cast<size_t>(live.made(output))] += sizes.of(output);
      change[static_cast<size_t>(live.last_use(output) + 1)] -= sizes.of(output);
    }
  }
  Peak peak;
  int64_t bytes = 0;
  for (size_t i = 0; i < live.order().size(); ++i) {
    bytes += change[i];
    if (bytes > peak.bytes) peak = {bytes, static_cast<int64_t>(i)};
  }
  return peak;
}

bool may_run_again(const Node& node) {
  bool has_body = false;
  for_each_subgraph(node, [&](Graph&) { has_body = true; });
  return !node.op().random && !has_body;
}

// A value that is computed again before `consumer`, by these nodes in their order.
struct Candidate {
  Value* value = nullptr;
  Node* consumer = nullptr;
  std::vector<Node*> nodes;
  double work = 0;
};

// The nodes that give `value` from what is alive at `consumer` anyway; false when there are too many or one may not run again.
bool collect(Value* value, const LiveValues& live, int64_t consumer, std::vector<Node*>& nodes) {
  constexpr size_t kMost = 256;
  Node* node = value->producer();
  if (std::ranges::find(nodes, node) != nodes.end()) return true;
  if (nodes.size() >= kMost || !may_run_again(*node)) return false;
  nodes.push_back(node);
  for (Value* operand : node->inputs()) {
    if (!operand || live.made(operand) < 0 || live.last_use(operand) >= consumer) continue;
    if (!collect(operand, live, consumer, nodes)) return false;
  }
  return true;
}

std::optional<Candidate> best_at(const LiveValues& live, const Sizes& sizes, int64_t position, const std::unordered_set<const Value*>& barred) {
  std::optional<Candidate> best;
  double best_rate = 0;
  for (int64_t i = 0; i < position; ++i) {
    for (Value* value : live.order()[static_cast<size_t>(i)]->outputs()) {
      if (!value || sizes.of(value) == 0 || barred.contains(value)) continue;
      const int64_t last = live.last_use(value);
      if (last <= position || last == static_cast<int64_t>(live.order().size()) || live.is_used_at(value, position)) continue;
      Candidate candidate{value, live.next_use(value, position), {}, 0};
      if (!collect(value, live, live.position(candidate.consumer), candidate.nodes)) continue;
      for (const Node* node : candidate.nodes) candidate.work += sizes.work(*node);
      const double rate = static_cast<double>(sizes.of(value)) / (1 + candidate.work);
      if (rate <= best_rate) continue;
      best_rate = rate;
      best = std::move(candidate);
    }
  }
  if (best) std::ranges::sort(best->nodes, {}, [&](const Node* node) { return live.position(node); });
  return best;
}

// The nodes once more in front of the consumer, whose operand and later uses they serve; and the way back.
class Recomputation {
 public:
  Recomputation(Graph& graph, const Candidate& candidate, const LiveValues& live) : graph_(graph), value_(candidate.value) {
    std::unordered_map<const Value*, Value*> again;
    for (Node* node : candidate.nodes) {
      std::vector<Value*> operands;
      for (Value* operand : node->inputs()) {
        auto entry = again.find(operand);
        operands.push_back(entry == again.end() ? operand : entry->second);
      }
      Node* copy = graph.add_node(node->op(), std::move(operands), node->attrs, node->outputs().size(), candidate.consumer);
      copy->name = node->name;
      copy->set_sources(node->sources());
      for (size_t i = 0; i < node->outputs().size(); ++i) {
        if (!node->output(i)) {
          graph.drop_output(copy, i);
          continue;
        }
        copy->output(i)->type = node->output(i)->type;
        copy->output(i)->contents = node->output(i)->contents;
        again[node->output(i)] = copy->output(i);
      }
      copies_.push_back(copy);
    }
    const std::vector<Use> uses(value_->uses().begin(), value_->uses().end());
    for (const Use& use : uses) {
      if (std::ranges::find(copies_, use.node) != copies_.end()) continue;
      if (live.position(use.node) < live.position(candidate.consumer)) continue;
      graph.set_operand(use.node, static_cast<size_t>(use.index), again.at(value_));
      moved_.push_back(use);
    }
  }

  const std::vector<Node*>& copies() const { return copies_; }
  void undo() {
    for (const Use& use : moved_) graph_.set_operand(use.node, static_cast<size_t>(use.index), value_);
    while (!copies_.empty()) {
      graph_.erase(copies_.back());
      copies_.pop_back();
    }
  }

 private:
  Graph& graph_;
  Value* value_;
  std::vector<Node*> copies_;
  std::vector<Use> moved_;
};

}  // namespace

Result<MemoryEstimate> estimate_memory(const Graph& graph, const SymbolValues& extents) {
  MemoryEstimate estimate;
  const Sizes sizes = TRY(Sizes::of_graph(graph, extents, estimate.resident));
  estimate.peak = estimate.resident + peak_of(LiveValues(graph), sizes).bytes;
  return estimate;
}

Result<Rematerialized> rematerialize_to_fit(Graph& graph, int64_t limit, const SymbolValues& extents) {
  Rematerialized result;
  Sizes sizes = TRY(Sizes::of_graph(graph, extents, result.before.resident));
  double work = 0, again = 0;
  for (const auto& node : graph.nodes()) work += sizes.work(*node);
  LiveValues live(graph);
  Peak peak = peak_of(live, sizes);
  result.before.peak = result.before.resident + peak.bytes;
  std::unordered_set<const Value*> barred;
  for (size_t steps = 20 * graph.node_count(); steps > 0 && result.before.resident + peak.bytes > limit; --steps) {
    const std::optional<Candidate> candidate = best_at(live, sizes, peak.position, barred);
    if (!candidate) break;
    Recomputation recomputation(graph, *candidate, live);
    for (const Node* copy : recomputation.copies()) {
      for (const Value* output : copy->outputs()) {
        if (output) TRY(sizes.add(output));
      }
    }
    LiveValues next(graph);
    const Peak lowered = peak_of(next, sizes);
    if (lowered.bytes > peak.bytes) {
      for (const Node* copy : recomputation.copies()) {
        for (const Value* output : copy->outputs()) sizes.forget(output);
      }
      recomputation.undo();
      barred.insert(candidate->value);
      live = LiveValues(graph);
      continue;
    }
    result.nodes += static_cast<int64_t>(candidate->nodes.size());
    again += candidate->work;
    peak = lowered;
    live = std::move(next);
  }
  erase_dead_nodes(graph);
  result.after = TRY(estimate_memory(graph, extents));
  result.extra_work = work > 0 ? again / work : 0;
  return result;
}

namespace {

// A few operations an element that no function of the mathematical library is among.
bool is_cheap(const ScalarExpr& body, int& budget) {
  if (--budget < 0) return false;
  const ScalarOp op = body->op;
  if (op != ScalarOp::kArg && op != ScalarOp::kNumber && op != ScalarOp::kCast && op != ScalarOp::kSelect) {
    const ScalarRule rule = rule_of(op);
    if (rule != ScalarRule::kNumeric && rule != ScalarRule::kCompare && rule != ScalarRule::kLogical) return false;
  }
  return std::ranges::all_of(body->args, [&](const ScalarExpr& arg) { return is_cheap(arg, budget); });
}

bool is_elementwise(const Node& node) { return node.op().body != nullptr || node.op().name == "Map"; }

bool is_cheap(const Node& node) {
  if (!is_elementwise(node)) return false;
  std::vector<char> present;
  for (const Value* operand : node.inputs()) present.push_back(operand != nullptr);
  int budget = 12;
  if (!node.op().body) return is_cheap(node.attrs.scalar("body"), budget);
  const auto flags = std::make_unique<bool[]>(present.size());
  std::ranges::copy(present, flags.get());
  return is_cheap(body_of(node.op(), node.attrs, std::span<const bool>(flags.get(), present.size())), budget);
}

// The only operand that is as large as the result, when the others are read at no cost.
const Value* only_large_operand(const Node& node) {
  const Value* large = nullptr;
  for (const Value* operand : node.inputs()) {
    if (!operand || !operand->type.shape) continue;
    if (*operand->type.shape != *node.output()->type.shape) continue;
    if (large && large != operand) return nullptr;
    large = operand;
  }
  return large;
}

// Where elementwise `node`'s result is used again behind a contraction by an elementwise node, while what it is computed
// from is alive anyway; null when nowhere.
Node* late_consumer(const Node& node, const LiveValues& live) {
  const Value* value = node.output();
  const Value* source = only_large_operand(node);
  if (!source) return nullptr;
  const Node* first = live.next_use(value, live.position(&node));
  if (!first) return nullptr;
  for (int64_t at = live.position(first);;) {
    Node* next = live.next_use(value, at);
    if (!next) return nullptr;
    const int64_t position = live.position(next);
    const bool far = std::any_of(live.order().begin() + at + 1, live.order().begin() + position,
                                 [](const Node* other) { return other->op().flops && !is_elementwise(*other); });
    const bool alive = live.made(source) < 0 || live.last_use(source) >= live.last_use(value);
    if (far && alive) {
      const auto all_elementwise = std::ranges::all_of(value->uses(), [&](const Use& use) {
        return live.position(use.node) < position || is_elementwise(*use.node);
      });
      return all_elementwise ? next : nullptr;
    }
    at = position;
  }
}

}  // namespace

// The pass without a limit: what costs next to nothing to compute again is not kept.
Result<bool> rematerialize(Graph& graph, PassContext& context) {
  bool changed = false;
  LiveValues live(graph);
  const std::vector<Node*> order = live.order();
  for (Node* node : order) {
    if (!is_cheap(*node) || !node->output()->type.shape || graph.is_result(node->output())) continue;
    Node* consumer = late_consumer(*node, live);
    if (!consumer) continue;
    Recomputation(graph, {node->output(), consumer, {node}, 0}, live);
    live = LiveValues(graph);
    changed = true;
  }
  if (context.memory.limit == 0) return changed;
  const Rematerialized result = TRY(rematerialize_to_fit(graph, context.memory.limit, context.memory.extents));
  context.memory.peak = result.after.peak;
  context.memory.extra_work = result.extra_work;
  return changed || result.nodes > 0;
}

}  // namespace gannet
