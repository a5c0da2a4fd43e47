#include "backend/llvm/schedule.h"

#include <algorithm>

namespace gannet {
namespace {

bool moves(const Extent& stride) { return !stride.is_static(0); }

// Whether computing `op` again costs more than keeping it in cache.
bool is_heavy(const Instruction& i) {
  if (i.kind == InstructionKind::kLoad) return i.args[0] >= 0;
  if (i.kind == InstructionKind::kRandom) return true;
  if (i.kind != InstructionKind::kScalar) return false;
  switch (i.op) {
    case ScalarOp::kPow: case ScalarOp::kAtan2: case ScalarOp::kTruncMod: case ScalarOp::kFloorMod: return true;
    case ScalarOp::kFloor: case ScalarOp::kCeil: case ScalarOp::kTrunc: case ScalarOp::kRound: case ScalarOp::kSqrt:
    case ScalarOp::kReciprocal: return false;
    case ScalarOp::kArg: case ScalarOp::kNumber: case ScalarOp::kCast: case ScalarOp::kSelect: return false;
    default: return rule_of(i.op) == ScalarRule::kFloat;
  }
}

class Scheduler {
 public:
  explicit Scheduler(const Kernel& kernel) : kernel_(kernel), count_(kernel.instructions.size()), stage_(count_, 0), heavy_(count_, false) {
    result_.varies.assign(count_, false);
    result_.uniform.assign(count_, true);
  }

  Schedule run() {
    for (size_t i = 0; i < count_; ++i) classify(i);
    place_roots();
    for (Sweep& sweep : result_.sweeps) members_.push_back(reachable(sweep, {}));
    choose_kept();
    for (size_t s = 0; s < result_.sweeps.size(); ++s) {
      std::vector<bool> available(count_, false);
      for (int32_t k : result_.kept) available[static_cast<size_t>(k)] = first_sweep(k) < s;
      const std::vector<bool> needed = reachable(result_.sweeps[s], available);
      for (size_t i = 0; i < count_; ++i) {
        if (needed[i]) result_.sweeps[s].values.push_back(static_cast<int32_t>(i));
      }
    }
    return std::move(result_);
  }

 private:
  bool reduces() const { return !kernel_.reductions.empty(); }

  void classify(size_t at) {
    const Instruction& i = kernel_.instructions[at];
    bool varies = false, uniform = true;
    if (i.kind == InstructionKind::kLoad || i.kind == InstructionKind::kRandom) {
      const KernelOperand& operand = kernel_.operands[static_cast<size_t>(i.operand)];
      const size_t row = kernel_.row_loop();
      for (size_t loop = kernel_.outer.size(); loop < row; ++loop) varies |= moves(operand.strides[loop]);
      uniform = !moves(operand.strides[row]);
      varies |= (kernel_.row_reduced || !reduces()) && !uniform;
    }
    if (i.kind == InstructionKind::kReduced) {
      stage_[at] = stage_[static_cast<size_t>(kernel_.reductions[static_cast<size_t>(i.operand)].value)] + 1;
      uniform = kernel_.row_reduced;
    }
    bool heavy = is_heavy(i);
    for (int32_t arg : i.args) {
      if (arg < 0) continue;
      const auto a = static_cast<size_t>(arg);
      stage_[at] = std::max(stage_[at], stage_[a]);
      varies = varies || result_.varies[a];
      uniform = uniform && result_.uniform[a];
      heavy = heavy || (heavy_[a] && result_.varies[a]);
    }
    result_.varies[at] = varies;
    result_.uniform[at] = uniform;
    heavy_[at] = heavy;
  }

  void place_roots() {
    int32_t last = 0;
    for (const KernelReduction& r : kernel_.reductions) last = std::max(last, stage_[static_cast<size_t>(r.value)]);
    for (const KernelStore& s : kernel_.stores) last = std::max(last, stage_[static_cast<size_t>(s.value)]);
    std::vector<Sweep> sweeps(static_cast<size_t>(last) + 1);
    for (size_t r = 0; r < kernel_.reductions.size(); ++r) {
      sweeps[static_cast<size_t>(stage_[static_cast<size_t>(kernel_.reductions[r].value)])].reductions.push_back(static_cast<int32_t>(r));
    }
    for (size_t s = 0; s < kernel_.stores.size(); ++s) {
      const auto value = static_cast<size_t>(kernel_.stores[s].value);
      const KernelOperand& operand = kernel_.operands[static_cast<size_t>(kernel_.stores[s].operand)];
      bool in_sweep = result_.varies[value] || !reduces();
      for (size_t loop = kernel_.outer.size(); loop < kernel_.loops(); ++loop) {
        in_sweep |= moves(operand.strides[loop]) && (loop < kernel_.row_loop() || kernel_.row_reduced);
      }
      // Together with the last sweep that there is, so that whatever is read is read before.
      if (in_sweep) sweeps.back().stores.push_back(static_cast<int32_t>(s));
      else result_.once_stores.push_back(static_cast<int32_t>(s));
    }
    std::erase_if(sweeps, [](const Sweep& sweep) { return sweep.reductions.empty() && sweep.stores.empty(); });
    result_.sweeps = std::move(sweeps);
  }

  // Varying instructions that `sweep` needs, not looking behind those `available`.
  std::vector<bool> reachable(const Sweep& sweep, const std::vector<bool>& available) const {
    std::vector<bool> needed(count_, false);
    for (int32_t r : sweep.reductions) needed[static_cast<size_t>(kernel_.reductions[static_cast<size_t>(r)].value)] = true;
    for (int32_t s : sweep.stores) needed[static_cast<size_t>(kernel_.stores[static_cast<size_t>(s)].value)] = true;
    for (size_t at = count_; at-- > 0;) {
      if (!needed[at] || !result_.varies[at]) continue;
      if (!available.empty() && available[at]) continue;
      for (int32_t arg : kernel_.instructions[at].args) {
        if (arg >= 0) needed[static_cast<size_t>(arg)] = true;
      }
    }
    for (size_t at = 0; at < count_; ++at) needed[at] = needed[at] && result_.varies[at];
    return needed;
  }

  size_t first_sweep(int32_t instruction) const {
    size_t s = 0;
    while (!members_[s][static_cast<size_t>(instruction)]) ++s;
    return s;
  }

  bool is_root(const Sweep& sweep, int32_t at) const {
    return std::ranges::any_of(sweep.reductions, [&](int32_t r) { return kernel_.reductions[static_cast<size_t>(r)].value == at; }) ||
           std::ranges::any_of(sweep.stores, [&](int32_t s) { return kernel_.stores[static_cast<size_t>(s)].value == at; });
  }

  // A costly value that two sweeps have, at the border of what they share.
  void choose_kept() {
    for (size_t at = 0; at < count_; ++at) {
      if (!heavy_[at] || !result_.varies[at]) continue;
      bool border = false, found = false;
      size_t first = 0;
      for (size_t s = 0; s < members_.size(); ++s) {
        if (!members_[s][at]) continue;
        if (!found) {
          first = s;
          found = true;
          continue;
        }
        border |= is_root(result_.sweeps[s], static_cast<int32_t>(at));
        for (size_t user = at + 1; user < count_; ++user) {
          const auto& args = kernel_.instructions[user].args;
          border |= members_[s][user] && !members_[first][user] && std::ranges::find(args, static_cast<int32_t>(at)) != args.end();
        }
      }
      if (border) result_.kept.push_back(static_cast<int32_t>(at));
    }
  }

  const Kernel& kernel_;
  size_t count_;
  std::vector<int32_t> stage_;
  std::vector<bool> heavy_;
  std::vector<std::vector<bool>> members_;
  Schedule result_;
};

}  // namespace

bool Schedule::keeps(int32_t instruction) const { return std::ranges::find(kept, instruction) != kept.end(); }

bool Schedule::stores_last() const {
  for (size_t s = 0; s + 1 < sweeps.size(); ++s) {
    if (!sweeps[s].stores.empty()) return false;
  }
  return true;
}

Schedule schedule_of(const Kernel& kernel) { return Scheduler(kernel).run(); }

int64_t kept_bytes(const Kernel& kernel, const Schedule& schedule) {
  int64_t bytes = 0;
  for (int32_t kept : schedule.kept) bytes += element_size(kernel.instructions[static_cast<size_t>(kept)].type);
  return bytes;
}

}  // namespace gannet
