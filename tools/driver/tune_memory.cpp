#include "tools/driver/tune_memory.h"

#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tools/deploy/arguments.h"
#include "tools/driver/process_memory.h"

namespace gannet {

namespace {

// For what moves between runs: code and buffers of libraries, pages that the allocator keeps.
constexpr int64_t kSlackBytes = int64_t{24} << 20;
constexpr int64_t kSlackPart = 64;  // and one part in so many of the limit

// Operations that take as long as reading or writing a byte of memory that is in no cache.
constexpr double kWorkOfByte = 20;
// A further piece reads the weights twice, writes its gradients, and reads and writes their sums.
constexpr double kPassesOfPiece = 5;

int64_t bytes_of(const BatchColumns& batch) {
  int64_t bytes = 0;
  for (const Tensor& column : batch) bytes += column.bytes();
  return bytes;
}

struct Candidate {
  MemoryPlan plan;
  double cost = 0;  // of an update, in operations beyond those of the whole batch
};

class Planner {
 public:
  explicit Planner(const MemoryTask& task)
      : task_(task), usable_(task.limit - task.limit / kSlackPart) {}

  Result<MemoryPlan> best() {
    TRY(consider({}));
    if (!chosen_) TRY(recompute({}));
    // Statistics of a batch are those of the whole batch where that can be.
    if (!chosen_ || (chosen_->plan.choice.share > 0 && !task_.batch_statistics)) TRY(cut());
    if (!chosen_) TRY(cut_and_recompute());
    if (!chosen_) return refusal();
    return std::move(chosen_->plan);
  }

  Result<MemoryPlan> as_before(const MemoryChoice& choice) {
    TRY(consider(choice));
    if (chosen_) return std::move(chosen_->plan);
    const std::string way = choice.piece_rows > 0 ? fmt::format("{} rows at a time", choice.piece_rows) : "whole batches";
    return invalid_input(fmt::format("the run that is resumed computed {}, which takes {}; --max-memory allows {}", way,
                                     bytes_text(base_ + least_beyond_base_), bytes_text(task_.limit)));
  }

 private:
  int64_t least_rows() const { return std::min<int64_t>(task_.batch_statistics ? 2 : 1, task_.rows); }
  int64_t rows_of(const MemoryChoice& choice) const { return choice.piece_rows > 0 ? choice.piece_rows : task_.rows; }

  // Memory of the process with these graphs and so many rows at once.
  Result<int64_t> need(TrainingEngine& engine, int64_t rows) {
    Status planned = engine.plan_for(task_.batch, rows);
    if (!planned.ok() && planned.error().kind == ErrorKind::kUnsupported) planned = try_out(engine, rows);
    TRY(std::move(planned));
    // A batch as it was read, and once more in pieces.
    const int64_t batch = bytes_of(task_.batch) / std::max<int64_t>(task_.batch.at(0).extent(0), 1) * task_.rows;
    return base_ + engine.state_bytes() + engine.arena_bytes() + 2 * task_.accumulate * batch;
  }

  // Where steps find out what they take, they are run.
  Status try_out(TrainingEngine& engine, int64_t rows) {
    const NamedTensors states = engine.states();
    const BatchColumns part = gannet::rows_of(task_.batch, 0, std::min(rows, task_.batch.at(0).extent(0)));
    const std::vector<BatchColumns> pieces(engine.accumulates() ? 2 : 1, part);
    TRY(engine.update(pieces, 0, 0));
    TRY(engine.evaluate(part));
    return engine.restore(states);
  }

  Result<Candidate> make(const MemoryChoice& choice) {
    const bool accumulates = task_.accumulate > 1 || choice.piece_rows > 0;
    const int64_t rows = rows_of(choice);
    MemoryAim aim;
    aim.share = choice.share;
    Candidate made;
    made.plan.choice = choice;
    made.plan.engine = TRY(task_.make_engine(accumulates, rows, choice.share > 0 ? &aim : nullptr));
    // Behind compilation, which leaves its code and some pages.
    ::malloc_trim(0);
    base_ = std::max(base_, present_memory() + task_.held_bytes + kSlackBytes);
    made.plan.expected_bytes = TRY(need(*made.plan.engine, rows));
    made.plan.extra_work = aim.extra_work;
    if (aim.work > 0) work_ = aim.work / static_cast<double>(rows) * static_cast<double>(task_.rows);
    reached_ = aim.reached;
    rate(made);
    return made;
  }

  void rate(Candidate& made) const {
    const MemoryChoice& choice = made.plan.choice;
    const int64_t pieces = (task_.rows + rows_of(choice) - 1) / rows_of(choice);
    made.cost = work_ * made.plan.extra_work +
                static_cast<double>((pieces - 1) * task_.weight_bytes) * kPassesOfPiece * kWorkOfByte;
  }

  void offer(Candidate made) {
    least_beyond_base_ = std::min(least_beyond_base_, made.plan.expected_bytes - base_);
    if (made.plan.expected_bytes > usable_) return;
    if (!chosen_ || made.cost < chosen_->cost) chosen_ = std::move(made);
  }

  Status consider(const MemoryChoice& choice) {
    Candidate made = TRY(make(choice));
    last_bytes_ = made.plan.expected_bytes;
    last_arena_ = made.plan.engine->arena_bytes();
    offer(std::move(made));
    return {};
  }

  // Looks for the most that may be alive so that it fits, from what the last candidate took with all of it.
  Status recompute(MemoryChoice choice) {
    constexpr int kTrials = 4;
    constexpr double kBelow = 0.97;
    double share = 1000;
    for (int trial = 0; trial < kTrials; ++trial) {
      // What compiling leaves grows with each candidate, and so what there is for a step shrinks.
      const double target = static_cast<double>(usable_ - (last_bytes_ - last_arena_));
      const bool last = trial + 1 == kTrials || (trial > 0 && !reached_);
      share = last ? 1 : share * kBelow * target / static_cast<double>(std::max<int64_t>(last_arena_, 1));
      choice.share = std::clamp<int64_t>(std::llround(share), 1, 999);
      TRY(consider(choice));
      if (chosen_ || choice.share == 1) return {};
    }
    return {};
  }

  // The most rows at once that fit, without computing anything twice.
  Status cut() {
    MemoryChoice choice;
    choice.piece_rows = least_rows();
    Candidate made = TRY(make(choice));
    last_bytes_ = made.plan.expected_bytes;
    last_arena_ = made.plan.engine->arena_bytes();
    if (made.plan.expected_bytes > usable_) {
      offer(std::move(made));
      return {};
    }
    int64_t fits = least_rows(), too_many = task_.rows;
    while (too_many - fits > 1) {
      const int64_t rows = fits + (too_many - fits) / 2;
      (TRY(need(*made.plan.engine, rows)) <= usable_ ? fits : too_many) = rows;
    }
    // As equal pieces as there must be.
    const int64_t pieces = (task_.rows + fits - 1) / fits;
    made.plan.choice.piece_rows = std::max((task_.rows + pieces - 1) / pieces, least_rows());
    made.plan.expected_bytes = TRY(need(*made.plan.engine, made.plan.choice.piece_rows));
    rate(made);
    offer(std::move(made));
    return {};
  }

  // Pieces that do not fit unless something is computed twice: the largest that do.
  Status cut_and_recompute() {
    for (int64_t rows = task_.rows / 2; rows >= least_rows() && !chosen_; rows /= 2) {
      MemoryChoice choice;
      choice.piece_rows = rows;
      Candidate whole = TRY(make(choice));
      last_bytes_ = whole.plan.expected_bytes;
      last_arena_ = whole.plan.engine->arena_bytes();
      offer(std::move(whole));
      if (!chosen_) TRY(recompute(choice));
    }
    return {};
  }

  Error refusal() const {
    constexpr int64_t kMega = int64_t{1} << 20, kBetweenRuns = 24;
    // What compiling leaves grows with every candidate, and another run looks at others.
    const int64_t all = base_ + least_beyond_base_;
    const int64_t least = (all + all / (kSlackPart - 1)) / kMega + kBetweenRuns;
    return invalid_input(fmt::format("--max-memory {}: the least that is feasible is {}M: {} with the model, the data and the "
                                     "program before the first update, the rest weights, gradients and what a step computes",
                                     bytes_text(task_.limit), least, bytes_text(base_ - kSlackBytes - task_.held_bytes)));
  }

  const MemoryTask& task_;
  const int64_t usable_;
  int64_t base_ = 0;
  std::optional<Candidate> chosen_;
  int64_t least_beyond_base_ = std::numeric_limits<int64_t>::max();
  double work_ = 0;       // of a batch
  bool reached_ = false;  // of the last aim
  int64_t last_bytes_ = 0, last_arena_ = 0;
};

}  // namespace

Result<MemoryPlan> plan_memory(const MemoryTask& task, const std::optional<MemoryChoice>& wanted) {
  Planner planner(task);
  return wanted ? planner.as_before(*wanted) : planner.best();
}

}  // namespace gannet
