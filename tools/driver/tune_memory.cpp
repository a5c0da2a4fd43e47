#include "tools/driver/tune_memory.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>

#include "tools/deploy/arguments.h"

namespace gannet {

namespace {

// Arenas after an update and an evaluation on so many rows.
Result<int64_t> arena_for(TrainingEngine& engine, const BatchColumns& batch, int64_t rows) {
  const BatchColumns part = rows_of(batch, 0, rows);
  // Two pieces, as in the run: sums of gradients exist beside what a piece needs.
  const std::vector<BatchColumns> pieces(2, part);
  TRY(engine.update(pieces, 0, 0));
  TRY(engine.evaluate(part));
  return engine.arena_bytes();
}

int64_t bytes_of(const BatchColumns& batch) {
  int64_t bytes = 0;
  for (const Tensor& column : batch) bytes += column.bytes();
  return bytes;
}

}  // namespace

int64_t peak_memory() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

Result<MemoryPlan> plan_memory(TrainingEngine& engine, BatchSource& batches, int64_t limit,
                               int64_t extra_bytes) {
  constexpr int64_t kProbe = 2;
  batches.start_in_order();
  BatchColumns batch = TRY(batches.read(0));
  const int64_t rows = batch.at(0).extent(0);
  const int64_t probe = std::min(kProbe, rows);
  const NamedTensors states = engine.states();
  const int64_t one = TRY(arena_for(engine, batch, 1));
  const int64_t two = probe > 1 ? TRY(arena_for(engine, batch, probe)) : one;
  TRY(engine.restore(states));
  // A row's share of arenas and of the batch itself, once as read and once in pieces.
  const int64_t each = std::max<int64_t>(two - one, 0) + 2 * bytes_of(batch) / std::max<int64_t>(rows, 1);
  const int64_t base = peak_memory() + extra_bytes;
  constexpr int64_t kMargin = 50;  // of the limit: one part in so many for what moves between runs
  const int64_t least = base + each;
  const int64_t usable = limit - limit / kMargin;
  if (least > usable) {
    return invalid_input(fmt::format(
        "--max-memory {}: one row at a time takes {}; State {}, arena {}; the least that is feasible is {}M",
        bytes_text(limit), bytes_text(least), bytes_text(engine.state_bytes()), bytes_text(one),
        ((least + least / (kMargin - 1)) >> 20) + 1));
  }
  MemoryPlan plan;
  plan.piece_rows = std::clamp<int64_t>(each > 0 ? (usable - base) / each : rows, 1, rows);
  plan.expected_bytes = base + each * plan.piece_rows;
  return plan;
}

}  // namespace gannet
