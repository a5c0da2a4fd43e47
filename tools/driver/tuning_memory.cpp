#include "tools/driver/tuning_memory.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "tools/deploy/arguments.h"
#include "tools/driver/tune_memory.h"
#include "tools/driver/tune_options.h"

namespace gannet {

namespace {

constexpr const char* kPieces = "rows at a time";
constexpr const char* kShare = "share of activations that is kept, in thousandths";

// The graphs of the training for batches of so many rows.
Result<std::unique_ptr<TrainingEngine>> engine_for(const Tuning& tuning, const TuneArguments& arguments,
                                                   const BatchColumns& batch, bool accumulate, int64_t rows,
                                                   MemoryAim* aim) {
  TrainStepOptions options = tuning.options;
  options.accumulate = accumulate;
  TrainStep step = TRY(build_train_step(tuning.model.graph(), options));
  if (aim) {
    const size_t seed = options.dropout.empty() ? batch.size() : tuning.model.graph().inputs().size();
    for (size_t i = 0; i < batch.size(); ++i) {
      const Type& type = step.graph->inputs()[i < seed ? i : i + 1]->type;
      for (size_t d = 0; type.shape && d < type.shape->size(); ++d) {
        const std::optional<std::string> symbol = (*type.shape)[d].symbol_name();
        if (symbol) aim->extents[*symbol] = d == 0 ? rows : batch[i].extent(static_cast<int64_t>(d));
      }
    }
  }
  return std::make_unique<TrainingEngine>(
      TRY(make_engine(tuning.model, std::move(step), options, arguments, aim)));
}

// What decided the bits of the run that `checkpoint` continues.
MemoryChoice choice_of(const Checkpoint& checkpoint) {
  MemoryChoice choice;
  for (const auto& [name, value] : {std::pair(kPieces, &choice.piece_rows), {kShare, &choice.share}}) {
    const auto found = checkpoint.position.options.find(name);
    if (found != checkpoint.position.options.end()) CLI::detail::lexical_cast(found->second, *value);
  }
  return choice;
}

std::string memory_text(const MemoryPlan& plan, const std::string& limit) {
  std::string text = "memory: ";
  text += plan.choice.piece_rows > 0 ? fmt::format("{} rows at a time, ", plan.choice.piece_rows) : "whole batches, ";
  if (plan.choice.share > 0) text += fmt::format("{:.0f} % of the work twice, ", 100 * plan.extra_work);
  return text + fmt::format("about {} of {}", bytes_text(plan.expected_bytes), limit);
}

// A batch with the largest extents that batches have. Only texts differ beyond their rows, and then all are looked at.
Result<BatchColumns> widest_batch(BatchSource& batches) {
  batches.start_in_order();
  BatchColumns widest = TRY(batches.read(0));
  bool differ = false;
  auto widen = [&](const BatchColumns& other) {
    for (size_t i = 0; i < widest.size(); ++i) {
      std::vector<int64_t> extents = widest[i].extents();
      for (size_t d = 0; d < extents.size(); ++d) {
        const int64_t extent = other[i].extent(static_cast<int64_t>(d));
        differ |= d > 0 && extent != extents[d];
        extents[d] = std::max(extents[d], extent);
      }
      if (extents != widest[i].extents()) widest[i] = Tensor::zeros(widest[i].dtype(), std::move(extents));
    }
  };
  const int64_t count = batches.per_epoch();
  for (const int64_t i : {count / 2, count - 1}) widen(TRY(batches.read(i)));
  for (int64_t i = 1; differ && i < count - 1; ++i) widen(TRY(batches.read(i)));
  return widest;
}

}  // namespace

Status set_up_memory(Tuning& tuning, const TuneArguments& arguments, const Checkpoint* checkpoint) {
  if (arguments.backend == "reference") return invalid_input("--max-memory needs --backend compiled: the reference has no plan");
  MemoryTask task;
  task.limit = TRY(parse_bytes(arguments.max_memory, "--max-memory"));
  task.batch = TRY(widest_batch(*tuning.batches.train));
  task.rows = task.batch.at(0).extent(0);
  if (tuning.batches.held_out) {
    // Only the graph's inputs: what a target is made of may differ.
    const BatchColumns held_out = TRY(widest_batch(*tuning.batches.held_out));
    for (size_t i = 0; i + 1 < task.batch.size(); ++i) {
      std::vector<int64_t> extents = task.batch[i].extents();
      for (size_t d = 1; d < extents.size(); ++d)
        extents[d] = std::max(extents[d], held_out[i].extent(static_cast<int64_t>(d)));
      if (extents != task.batch[i].extents()) task.batch[i] = Tensor::zeros(task.batch[i].dtype(), std::move(extents));
    }
  }
  task.accumulate = arguments.accumulate;
  task.batch_statistics = tuning.normalizes_by_batch;
  for (const State& state : tuning.model.graph().states) task.weight_bytes += state.initial.bytes();
  // Weights that were not mapped as they are in the file are there already; they become those of the State.
  task.held_bytes = (tuning.batches.held_out ? task.weight_bytes : 0) - tuning.model.copied_bytes();
  if (checkpoint) {
    for (const auto& [name, tensor] : checkpoint->states) task.held_bytes -= tensor.bytes();
  }
  task.make_engine = [&](bool accumulate, int64_t rows, MemoryAim* aim) {
    return engine_for(tuning, arguments, task.batch, accumulate, rows, aim);
  };
  release_pages(*tuning.model.imported.source);
  MemoryPlan plan = TRY(plan_memory(
      task, checkpoint ? std::optional(choice_of(*checkpoint)) : std::nullopt));
  fmt::print("{}\n", memory_text(plan, arguments.max_memory));
  tuning.engine = std::move(plan.engine);
  tuning.trainer.piece_rows = plan.choice.piece_rows;
  tuning.share = plan.choice.share;
  tuning.model.forget_weights();
  if (checkpoint) return {};
  // Weights are read from the file once, here; its pages are not needed beside them.
  TRY(tuning.engine->own_states());
  release_pages(*tuning.model.imported.source);
  return {};
}

std::map<std::string, std::string> deciding_memory_flags(const Tuning& tuning) {
  return {{kPieces, fmt::to_string(tuning.trainer.piece_rows)}, {kShare, fmt::to_string(tuning.share)}};
}

}  // namespace gannet
