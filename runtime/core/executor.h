// How a Session runs a Program. All that depends on extents is computed by stages: a stage ends after a step that binds
// a symbol, and what it computed is kept for as long as the symbols keep their values. So a warm run only calls
// functions on pointers that are there already.
#pragma once

#include <list>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ir/eval.h"
#include "runtime/core/arena.h"
#include "runtime/core/session.h"

namespace gannet {

class Executor final : public Session, private EvalServices {
 public:
  // `parent` runs this program as the body of one of its steps; null for a session's own program.
  Executor(std::shared_ptr<const Program> program, SessionOptions options, Executor* parent);
  // What can fail once and for all: primitives without a library, bodies nested too deep. In executor_load.cpp.
  Status load();
  // Plans for inputs whose extents are all fixed. What goes wrong is reported by the run that needs it.
  void prepare_known();

  Result<std::vector<Datum>> run(std::span<const Datum> inputs) override;
  Status run_into(std::span<const Datum> inputs, std::span<Datum> outputs) override;
  const Tensor& state(size_t index) const override { return states_[index]; }
  Status set_state(size_t index, Tensor value) override;
  Tensor take_state(size_t index) override { return std::exchange(states_[index], Tensor()); }
  Status plan_for(std::span<const Datum> inputs) override;
  void set_seed(uint64_t seed) override { options_.seed = seed; }
  SessionMemory memory() const override;
  std::vector<PlannedMemory> plan() const override;
  void set_profiler(std::function<void(std::span<const StepTime>)> profiler) override { profiler_ = std::move(profiler); }

 private:
  // A place in pointers_ that follows the base of a buffer.
  struct Slot {
    size_t position = 0;
    SizeId offset = kNone;
  };
  // What its sizes decide about a step.
  struct SizedStep {
    int64_t iterations = 0;
    int64_t scratch_bytes = 0;               // of each worker
    int64_t scratch_offset = -1;             // in the arena
    int workers = 1;
    std::weak_ptr<const Primitive> primitive_before;  // of a plan that is kept, while the library keeps it too
  };
  struct PreparedStep : SizedStep {
    std::shared_ptr<const Primitive>
        primitive;        // for the present extents; earlier ones' are the library's to keep or not
    size_t pointers = 0;  // first of its pointers_
    size_t sizes = 0;     // first of its kernel_sizes_
    KernelFn function = nullptr;
    const OpDef* op = nullptr;               // of an Eval step
    std::vector<ValueId> boxed;              // inputs of other steps that boxes hold
    std::vector<BufferId> released;          // boxes that end here
  };

  // Everything that follows from the extents of inputs, of a program of one stage.
  struct ExtentPlan {
    std::vector<std::vector<int64_t>> input_extents;
    SymbolValues symbols;
    std::vector<int64_t> sizes;
    std::vector<bool> size_known;
    std::vector<int64_t> kernel_sizes;
    std::vector<int64_t> offsets;
    std::vector<ArenaSize> arena_sizes;
    std::vector<SizedStep> steps;
  };

  static const std::vector<int64_t>& extents_of(const Datum& datum);
  static bool has_extents(const std::vector<std::vector<int64_t>>& extents, std::span<const Datum> inputs);

  // executor_load.cpp
  void index_steps();
  void index_stages();

  // executor.cpp
  Status take_inputs(std::span<const Datum> inputs);
  Status bind_changed_inputs(std::span<const Datum> inputs);
  Status bind_inputs(std::span<const Datum> inputs);
  bool bind_outside_symbols();
  void set_base(BufferId buffer, const void* base);
  bool holds(const Datum& given, const ProgramValue& value) const;
  Error misfit(size_t output, const Datum& given) const;
  Status bind_outputs(size_t stage, std::span<Datum> outputs);
  Status run_stages(std::span<Datum> outputs);
  Status run_step(size_t index);
  void run_kernel(size_t index);
  Status check_boxes(size_t index);
  Status copy(size_t index);
  Status finish(std::span<Datum> outputs);
  void release_boxes();

  // executor_prepare.cpp
  Status prepare_stage(size_t stage);
  void place_stage(size_t stage);
  void remember_plan();
  Result<bool> recall_plan(std::span<const Datum> inputs);
  Result<std::shared_ptr<const Primitive>> primitive_of(size_t index) const;
  void evaluate_sizes(size_t stage);
  Status check_sizes(size_t stage);
  Status check_operands(size_t step);
  Status check_value(ValueId id) const;
  Status check_window(const TensorLayout& x, const TensorLayout& y, size_t axis, int64_t span, int64_t padding) const;
  Status check_windows(const Recipe& recipe) const;
  Status prepare_step(size_t index);
  Status plan_arena(size_t stage);
  int64_t scratch_of(size_t step) const;
  Result<int64_t> size_at(SizeId id) const;
  int64_t buffer_bytes(const Buffer& buffer) const;
  int64_t planned_boxes() const;
  Error at_step(size_t index, Error error) const;

  // executor_eval.cpp
  Status evaluate(size_t index);
  Result<Datum> datum_of(ValueId id) const;
  Datum detached(Datum datum) const;
  bool is_mutable(const void* pointer) const;
  Status keep_box(ValueId id, Datum datum);
  bool is_given(const void* pointer) const;
  int64_t own_bytes(const Datum& datum) const;
  Result<std::vector<Datum>> run(const Graph& graph, std::vector<Datum> inputs) override;
  Result<std::vector<Datum>> interpret(const Graph& graph, std::vector<Datum> inputs);
  const SymbolValues& symbols() const override { return symbols_; }
  const Limits& limits() const override { return options_.limits; }
  uint64_t next_random_seed() override;

  const std::shared_ptr<const Program> program_;
  SessionOptions options_;
  Executor* const parent_;
  int64_t depth_ = 0;
  Threads threads_;
  std::function<void(std::span<const StepTime>)> profiler_;
  std::vector<StepTime> times_;

  // Of the program, once.
  std::vector<int32_t> stages_;            // first step of each, and one more at the end
  std::vector<int32_t> size_stages_;       // stage in which each size is known
  std::vector<std::string> outside_;       // symbols that the parent binds
  std::vector<PreparedStep> steps_;
  std::vector<std::vector<Slot>> slots_;   // of each buffer
  std::vector<BufferId> input_buffers_, output_buffers_, state_buffers_;
  std::vector<ValueId> owners_;            // of each buffer: the value that is all of it
  std::vector<bool> strict_inputs_;        // read as plain memory
  std::vector<std::span<const std::byte>> constants_;  // memory of all constants, those of bodies too, by address
  std::vector<std::vector<size_t>> checks_;  // of each stage
  std::map<std::pair<size_t, int32_t>, std::unique_ptr<Executor>> children_;

  // Of the present extents.
  SymbolValues symbols_;
  std::vector<std::vector<int64_t>> input_extents_;
  size_t prepared_stages_ = 0;
  std::vector<int64_t> sizes_;
  std::vector<bool> size_known_;
  std::vector<int64_t> kernel_sizes_;
  std::vector<int64_t> offsets_;           // of each arena buffer
  std::vector<ArenaSize> arena_sizes_;     // of each stage
  ArenaMemory arena_;
  std::list<ExtentPlan> plans_;  // of earlier extents, the latest first

  // Of a run.
  std::vector<void*> bases_;               // of each buffer
  std::vector<void*> pointers_;
  std::vector<Tensor> states_;
  std::vector<std::pair<DType, std::vector<int64_t>>> state_types_;
  std::vector<Datum> boxes_;               // of each buffer
  std::vector<int64_t> box_bytes_;         // of each: memory that nobody else gave
  int64_t boxed_bytes_ = 0;
  int64_t most_boxed_bytes_ = 0;
  std::span<const Datum> inputs_;
  std::span<Datum> outputs_;
  size_t current_ = 0;                     // the Eval step that runs
  uint64_t draws_ = 0;
};

}  // namespace gannet
