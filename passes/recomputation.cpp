#include "passes/recomputation.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <string_view>
#include <unordered_set>

#include "ir/op.h"
#include "ir/view.h"
#include "passes/copy_node.h"

namespace gannet {

namespace {

Result<int64_t> bytes_of(const Value& value, const SymbolValues& extents) {
  const Type& type = value.type;
  if (!type.is_tensor() || !type.shape || type.dtype == DType::kUndefined || type.dtype == DType::kString) return 0;
  int64_t bytes = element_size(type.dtype);
  for (const Dim& dim : *type.shape) bytes *= std::max<int64_t>(0, TRY(dim.evaluate(extents)));
  return bytes;
}

double work_of(const Node& node, const SymbolValues& extents) {
  if (is_view(node)) return 0;
  double work = 0;
  for (const Value* output : node.outputs()) {
    const Result<int64_t> bytes = output ? bytes_of(*output, extents) : Result<int64_t>(0);
    if (bytes.ok()) work += static_cast<double>(*bytes) / 4;
  }
  if (const std::optional<Dim> flops = flops_of(node)) {
    const Result<int64_t> count = flops->evaluate(extents);
    if (count.ok()) work += static_cast<double>(*count);
  }
  return work;
}

bool may_run_again(const Node& node) {
  bool may = !node.op().random;
  for_each_subgraph(node, [&](Graph& body) {
    may = may && node.op().name == "Fused" && std::ranges::all_of(body.nodes(), [](const auto& inner) { return may_run_again(*inner); });
  });
  return may;
}

}  // namespace

Result<ValueTimes> ValueTimes::of(const Graph& graph, const SymbolValues& extents) {
  ValueTimes times;
  for (const Value* input : graph.inputs()) times.resident += TRY(bytes_of(*input, extents));
  std::unordered_set<const Value*> in_place, results;
  for (const State& state : graph.states) {
    times.resident += TRY(bytes_of(*state.in, extents));
    in_place.insert(state.out);
  }
  for (const GraphOutput& output : graph.outputs) results.insert(output.value);
  std::unordered_map<const Value*, int32_t> index;
  for (const auto& node : graph.nodes()) {
    const auto position = static_cast<int32_t>(times.nodes.size());
    std::vector<int32_t> operands, made;
    for (const Value* operand : node->inputs()) {
      const auto found = index.find(operand);
      operands.push_back(found == index.end() ? -1 : found->second);
      if (operands.back() < 0) continue;
      std::vector<int32_t>& uses = times.entries[static_cast<size_t>(operands.back())].uses;
      if (uses.empty() || uses.back() != position) uses.push_back(position);
    }
    for (Value* output : node->outputs()) {
      if (!output) continue;
      if (output->constant()) {
        times.resident += output->constant()->dtype() == DType::kString ? 0 : output->constant()->bytes();
        continue;
      }
      Entry entry;
      entry.value = output;
      if (!in_place.contains(output)) entry.bytes = TRY(bytes_of(*output, extents));
      const auto own = static_cast<int32_t>(times.entries.size());
      const bool shares = is_view(*node) && operands[0] >= 0;
      entry.root = shares ? times.entries[static_cast<size_t>(operands[0])].root : own;
      if (shares) entry.bytes = 0;
      entry.made = position;
      entry.is_result = results.contains(output) || in_place.contains(output);
      index[output] = own;
      made.push_back(own);
      times.sharers.emplace_back();
      times.sharers[static_cast<size_t>(entry.root)].push_back(own);
      times.entries.push_back(std::move(entry));
    }
    times.nodes.push_back(node.get());
    times.work.push_back(work_of(*node, extents));
    times.operands.push_back(std::move(operands));
    times.results.push_back(std::move(made));
  }
  return times;
}

MemoryPeak peak_of(const ValueTimes& times) {
  std::vector<int64_t> change(times.nodes.size() + 2, 0);
  for (size_t r = 0; r < times.entries.size(); ++r) {
    const ValueTimes::Entry& root = times.entries[r];
    if (root.bytes == 0) continue;
    int32_t last = root.made;
    for (const int32_t sharer : times.sharers[r]) {
      const ValueTimes::Entry& entry = times.entries[static_cast<size_t>(sharer)];
      if (!entry.uses.empty()) last = std::max(last, entry.uses.back());
      if (entry.is_result) last = static_cast<int32_t>(times.nodes.size());
    }
    change[static_cast<size_t>(root.made)] += root.bytes;
    change[static_cast<size_t>(last) + 1] -= root.bytes;
  }
  MemoryPeak peak;
  int64_t bytes = 0;
  for (size_t i = 0; i < times.nodes.size(); ++i) {
    bytes += change[i];
    if (bytes > peak.bytes) peak = {bytes, static_cast<int32_t>(i)};
  }
  return peak;
}

namespace {

// A way to compute again: which roots made before the turn stay, and what follows from that.
struct Trial {
  std::vector<char> kept;                         // of each entry, at its root
  std::vector<std::pair<int32_t, int32_t>> copies;  // (node in front of which, node that runs again), in order
  int64_t peak = std::numeric_limits<int64_t>::max();
  double work = 0;
};

class Round {
 public:
  Round(const ValueTimes& times, int32_t turn) : times_(times), turn_(turn) {
    for (size_t r = 0; r < times.entries.size(); ++r) describe(r);
    for (size_t r = 0; r < times.entries.size(); ++r) choose_droppable(static_cast<int32_t>(r));
    std::ranges::sort(droppable_, [&](int32_t a, int32_t b) {
      const double x = rate_[static_cast<size_t>(a)], y = rate_[static_cast<size_t>(b)];
      return x != y ? x < y : a < b;
    });
    find_narrow_places();
  }

  // The cheapest trial that is alive with at most `bytes`, or the one with the least.
  std::optional<Trial> best(int64_t bytes) const {
    std::optional<Trial> best;
    auto better = [&](const Trial& a, const Trial& b) {
      const bool a_fits = a.peak <= bytes, b_fits = b.peak <= bytes;
      if (a_fits != b_fits) return a_fits;
      if (!a_fits && a.peak != b.peak) return a.peak < b.peak;
      return a.work < b.work;
    };
    constexpr int kShares = 10;
    for (int share = 1; share <= kShares; ++share) {
      const std::vector<char> dropped = cheapest(share, kShares);
      for (const int64_t segments : {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128}) {
        Trial trial;
        trial.kept = keep(dropped, segments);
        run(trial);
        if (!best || better(trial, *best)) best = std::move(trial);
      }
    }
    return best;
  }

 private:
  size_t count() const { return times_.entries.size(); }
  const ValueTimes::Entry& entry(int32_t i) const { return times_.entries[static_cast<size_t>(i)]; }

  // First and last uses of the memory of a root, before and after the turn.
  void describe(size_t r) {
    const ValueTimes::Entry& root = times_.entries[r];
    int32_t before = root.made, after = -1;
    bool at_turn = root.made == turn_, result = false;
    for (const int32_t sharer : times_.sharers[r]) {
      for (const int32_t use : entry(sharer).uses) {
        if (use <= turn_) before = std::max(before, use);
        else after = std::max(after, use);
        at_turn |= use == turn_;
      }
      result |= entry(sharer).is_result;
    }
    last_before_.push_back(before);
    last_after_.push_back(result ? static_cast<int32_t>(times_.nodes.size()) : after);
    at_turn_.push_back(at_turn);
    result_.push_back(result);
  }

  bool crosses(int32_t root) const { return last_after_[static_cast<size_t>(root)] >= 0; }

  // Whether the entry's node may run again where what crosses the turn is there: of what does not, all must.
  bool again(int32_t i) {
    if (again_.size() < count()) again_.resize(count(), -1);
    char& known = again_[static_cast<size_t>(i)];
    if (known >= 0) return known != 0;
    const auto node = static_cast<size_t>(entry(i).made);
    bool may = may_run_again(*times_.nodes[node]);
    for (const int32_t operand : times_.operands[node]) {
      if (operand >= 0 && !crosses(entry(operand).root)) may = may && again_[static_cast<size_t>(operand)] == 1;
    }
    known = may ? 1 : 0;
    return may;
  }

  // Work of computing a root again from what crosses the turn; below 0 where that takes too many nodes.
  double work_again(int32_t root) const {
    constexpr size_t kMost = 512;
    std::vector<int32_t> open = {entry(root).made};
    std::unordered_set<int32_t> seen(open.begin(), open.end());
    double work = 0;
    while (!open.empty()) {
      const auto node = static_cast<size_t>(open.back());
      open.pop_back();
      work += times_.work[node];
      for (const int32_t operand : times_.operands[node]) {
        if (operand < 0 || crosses(entry(operand).root)) continue;
        if (seen.insert(entry(operand).made).second) open.push_back(entry(operand).made);
      }
      if (seen.size() > kMost) return -1;
    }
    return work;
  }

  void choose_droppable(int32_t r) {
    rate_.push_back(0);
    const bool may = again(r);
    if (entry(r).root != r || entry(r).made > turn_ || entry(r).bytes == 0) return;
    const auto i = static_cast<size_t>(r);
    if (!crosses(r) || result_[i] || at_turn_[i] || !may) return;
    const double work = work_again(r);
    if (work < 0) return;
    rate_[i] = work / static_cast<double>(entry(r).bytes);
    droppable_.push_back(r);
    droppable_bytes_ += entry(r).bytes;
  }

  // For each node before the turn, the bytes that it and those before hand to later ones before the turn.
  void find_narrow_places() {
    std::vector<int64_t> change(static_cast<size_t>(turn_) + 2, 0);
    for (size_t r = 0; r < count(); ++r) {
      const ValueTimes::Entry& root = times_.entries[r];
      if (root.bytes == 0 || root.made > turn_ || last_before_[r] == root.made) continue;
      change[static_cast<size_t>(root.made)] += root.bytes;
      change[static_cast<size_t>(last_before_[r])] -= root.bytes;
    }
    int64_t bytes = 0;
    for (int32_t p = 0; p <= turn_; ++p) across_.push_back(bytes += change[static_cast<size_t>(p)]);
  }

  // The droppable roots whose computation costs least, until they hold this share of all bytes.
  std::vector<char> cheapest(int share, int shares) const {
    std::vector<char> dropped(count(), 0);
    int64_t bytes = 0;
    for (const int32_t r : droppable_) {
      if (bytes * shares >= droppable_bytes_ * share) break;
      dropped[static_cast<size_t>(r)] = 1;
      bytes += entry(r).bytes;
    }
    return dropped;
  }

  // What stays: all that crosses the turn and is not dropped, and what is alive at the cuts between segments.
  std::vector<char> keep(const std::vector<char>& dropped, int64_t segments) const {
    std::vector<char> kept(count(), 0);
    std::vector<int64_t> made(static_cast<size_t>(turn_) + 1, 0);
    int64_t all = 0;
    for (size_t r = 0; r < count(); ++r) {
      const ValueTimes::Entry& root = times_.entries[r];
      if (root.root != static_cast<int32_t>(r) || root.made > turn_) continue;
      kept[r] = crosses(static_cast<int32_t>(r)) && !dropped[r];
      if (dropped[r]) made[static_cast<size_t>(root.made)] += root.bytes, all += root.bytes;
    }
    const int64_t most = all / segments;
    int64_t bytes = 0;
    int32_t cut = -1;
    std::vector<int32_t> cuts;
    for (int32_t p = 0; segments > 1 && p < turn_; ++p) {
      bytes += made[static_cast<size_t>(p)];
      // From half of a segment on, where least is alive.
      if (bytes * 2 >= most && (cut < 0 || across_[static_cast<size_t>(p)] <= across_[static_cast<size_t>(cut)])) cut = p;
      if (bytes < most || cut < 0) continue;
      cuts.push_back(cut);
      bytes = 0;
      for (int32_t q = cut + 1; q <= p; ++q) bytes += made[static_cast<size_t>(q)];
      cut = -1;
    }
    keep_across(cuts, kept);
    return kept;
  }

  void keep_across(const std::vector<int32_t>& cuts, std::vector<char>& kept) const {
    for (size_t r = 0; r < count(); ++r) {
      const ValueTimes::Entry& root = times_.entries[r];
      if (root.root != static_cast<int32_t>(r) || root.made > turn_) continue;
      const auto next = std::ranges::lower_bound(cuts, root.made);
      if (next != cuts.end() && *next < last_before_[r]) kept[r] = 1;
    }
  }

  bool is_gone(const Trial& trial, int32_t i) const {
    return i >= 0 && entry(i).made <= turn_ && !trial.kept[static_cast<size_t>(entry(i).root)];
  }

  // What must run again in front of `consumer`, in order.
  void demand(Trial& trial, int32_t consumer, std::vector<char>& copied) const {
    std::vector<int32_t> found, open;
    auto want = [&](int32_t node) {
      for (const int32_t operand : times_.operands[static_cast<size_t>(node)]) {
        if (!is_gone(trial, operand)) continue;
        char& known = copied[static_cast<size_t>(entry(operand).made)];
        if (known) continue;
        known = 1;
        open.push_back(entry(operand).made);
      }
    };
    want(consumer);
    while (!open.empty()) {
      found.push_back(open.back());
      open.pop_back();
      want(found.back());
    }
    std::ranges::sort(found);
    for (const int32_t node : found) trial.copies.emplace_back(consumer, node);
  }

  // Goes through the nodes with `trial.kept`; fills in copies, work and peak.
  void run(Trial& trial) const {
    std::vector<char> copied(times_.nodes.size(), 0);
    for (auto p = static_cast<size_t>(turn_) + 1; p < times_.nodes.size(); ++p) demand(trial, static_cast<int32_t>(p), copied);
    // Time goes on with each node and each copy; `last` is when the memory of a root ends, `last_copy` that of its second life.
    std::vector<int64_t> time(times_.nodes.size()), last(count(), -1), last_copy(count(), -1), born_copy(count(), -1);
    int64_t now = turn_ + 1;
    size_t next = 0;
    auto read = [&](int32_t node, int64_t at) {
      for (const int32_t operand : times_.operands[static_cast<size_t>(node)]) {
        if (operand < 0) continue;
        const int32_t root = entry(operand).root;
        auto& end = is_gone(trial, root) ? last_copy : last;
        end[static_cast<size_t>(root)] = at;
      }
    };
    for (int32_t p = 0; p <= turn_; ++p) time[static_cast<size_t>(p)] = p;
    for (auto p = static_cast<size_t>(turn_) + 1; p < times_.nodes.size(); ++p) {
      for (; next < trial.copies.size() && trial.copies[next].first == static_cast<int32_t>(p); ++next) {
        const int32_t copy = trial.copies[next].second;
        for (const int32_t made : times_.results[static_cast<size_t>(copy)]) born_copy[static_cast<size_t>(made)] = now;
        trial.work += times_.work[static_cast<size_t>(copy)];
        read(copy, now++);
      }
      time[p] = now;
      read(static_cast<int32_t>(p), now++);
    }
    std::vector<int64_t> change(static_cast<size_t>(now) + 2, 0);
    auto live = [&](int64_t from, int64_t to, int64_t bytes) {
      change[static_cast<size_t>(from)] += bytes;
      change[static_cast<size_t>(to) + 1] -= bytes;
    };
    for (size_t r = 0; r < count(); ++r) {
      const ValueTimes::Entry& root = times_.entries[r];
      if (root.bytes == 0) continue;
      const int64_t born = time[static_cast<size_t>(root.made)];
      const int64_t end = result_[r] ? now : std::max({born, last[r], root.made <= turn_ ? int64_t{last_before_[r]} : born});
      live(born, end, root.bytes);
      if (born_copy[r] >= 0) live(born_copy[r], std::max(born_copy[r], last_copy[r]), root.bytes);
    }
    trial.peak = 0;
    int64_t bytes = 0;
    for (const int64_t delta : change) trial.peak = std::max(trial.peak, bytes += delta);
  }

  const ValueTimes& times_;
  const int32_t turn_;
  std::vector<int32_t> last_before_, last_after_;
  std::vector<char> at_turn_, result_, again_;
  std::vector<double> rate_;
  std::vector<int32_t> droppable_;  // cheapest first
  int64_t droppable_bytes_ = 0;
  std::vector<int64_t> across_;
};

}  // namespace

Value* read_again(Graph& graph, Value* value, Node* before) {
  if (!value || !value->producer() || value->constant()) return value;
  Node* node = graph.add_node(op_named("Identity"), {value}, {}, 1, before);
  node->output()->type = value->type;
  node->output()->contents = value->contents;
  return node->output();
}

namespace {

void run_again(Graph& graph, const Node& node, Node* consumer, ValueCopies& again) {
  std::vector<Value*> operands;
  for (Value* operand : node.inputs()) {
    auto found = again.find(operand);
    if (found == again.end()) found = again.emplace(operand, read_again(graph, operand, consumer)).first;
    operands.push_back(found->second);
  }
  copy_node(graph, node, std::move(operands), again, {"", std::nullopt}, consumer);
}

}  // namespace

RecomputationRound recompute_below(Graph& graph, const ValueTimes& times, int64_t bytes) {
  RecomputationRound result;
  const MemoryPeak peak = peak_of(times);
  const std::optional<Trial> trial = Round(times, peak.node).best(bytes);
  if (!trial || trial->peak >= peak.bytes || trial->copies.empty()) return result;
  ValueCopies again;
  size_t next = 0;
  for (auto p = static_cast<size_t>(peak.node) + 1; p < times.nodes.size(); ++p) {
    Node* consumer = times.nodes[p];
    for (; next < trial->copies.size() && trial->copies[next].first == static_cast<int32_t>(p); ++next) {
      run_again(graph, *times.nodes[static_cast<size_t>(trial->copies[next].second)], consumer, again);
    }
    for (size_t i = 0; i < consumer->inputs().size(); ++i) {
      const int32_t operand = times.operands[p][i];
      if (operand < 0 || times.entries[static_cast<size_t>(operand)].made > peak.node) continue;
      if (trial->kept[static_cast<size_t>(times.entries[static_cast<size_t>(operand)].root)]) continue;
      graph.set_operand(consumer, i, again.at(consumer->input(i)));
    }
  }
  result.nodes = static_cast<int64_t>(trial->copies.size());
  result.work = trial->work;
  return result;
}

}  // namespace gannet
