#include "passes/rematerialize.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <unordered_set>
#include <utility>
#include <vector>

#include "ir/op.h"
#include "passes/copy_node.h"
#include "passes/fusion.h"
#include "passes/live_values.h"
#include "passes/pass.h"
#include "passes/recomputation.h"

namespace gannet {

Result<MemoryEstimate> estimate_memory(const Graph& graph, const SymbolValues& extents) {
  const ValueTimes times = TRY(ValueTimes::of(graph, extents));
  return MemoryEstimate{times.resident, times.resident + peak_of(times).bytes};
}

Result<Rematerialized> rematerialize_to_fit(Graph& graph, int64_t limit, const SymbolValues& extents) {
  constexpr int kMostRounds = 8;
  ValueTimes times = TRY(ValueTimes::of(graph, extents));
  Rematerialized result;
  result.before = {times.resident, times.resident + peak_of(times).bytes};
  result.after = result.before;
  for (const double work : times.work) result.work += work;
  double again = 0;
  for (int round = 0; round < kMostRounds && result.after.peak > limit; ++round) {
    const RecomputationRound done = recompute_below(graph, times, limit - times.resident);
    if (done.nodes == 0) break;
    result.nodes += done.nodes;
    again += done.work;
    erase_dead_nodes(graph);
    times = TRY(ValueTimes::of(graph, extents));
    result.after = {times.resident, times.resident + peak_of(times).bytes};
  }
  result.extra_work = result.work > 0 ? again / result.work : 0;
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

// The node once more in front of `consumer`, which reads the copy as all uses behind it do.
void compute_again(Graph& graph, Node& node, Node* consumer, const LiveValues& live) {
  const std::vector<Use> uses(node.output()->uses().begin(), node.output()->uses().end());
  std::vector<Value*> operands;
  for (Value* operand : node.inputs()) operands.push_back(read_again(graph, operand, consumer));
  ValueCopies copies;
  Node* copy = copy_node(graph, node, std::move(operands), copies, {"", std::nullopt}, consumer);
  for (const Use& use : uses) {
    if (live.position(use.node) >= live.position(consumer)) graph.set_operand(use.node, static_cast<size_t>(use.index), copy->output());
  }
}

// What costs next to nothing to compute again is not kept.
bool rematerialize_cheap(Graph& graph) {
  const LiveValues live(graph);
  std::unordered_set<const Value*> shortened;
  std::vector<std::pair<Node*, Node*>> chosen;
  for (Node* node : live.order()) {
    if (!is_cheap(*node) || !node->output()->type.shape || graph.is_result(node->output())) continue;
    Node* consumer = late_consumer(*node, live);
    if (!consumer || shortened.contains(only_large_operand(*node))) continue;
    shortened.insert(node->output());
    chosen.emplace_back(node, consumer);
  }
  for (const auto& [node, consumer] : chosen) compute_again(graph, *node, consumer, live);
  return !chosen.empty();
}

}  // namespace

Result<bool> rematerialize(Graph& graph, PassContext& context) {
  const bool changed = rematerialize_cheap(graph);
  MemoryAim& aim = context.memory;
  if (aim.limit == 0 && aim.share == 0) return changed;
  int64_t limit = aim.limit;
  if (aim.share > 0) {
    const MemoryEstimate all = TRY(estimate_memory(graph, aim.extents));
    limit = all.resident + (all.peak - all.resident) / 1000 * aim.share;
  }
  const Rematerialized result = TRY(rematerialize_to_fit(graph, limit, aim.extents));
  aim.peak = result.after.peak;
  aim.reached = result.after.peak <= limit;
  aim.work = result.work;
  aim.extra_work = result.extra_work;
  return changed || result.nodes > 0;
}

}  // namespace gannet
