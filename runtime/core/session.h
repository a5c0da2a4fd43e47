// A Program being run: its own memory, states and random numbers. Sessions that share a Program may run at the same
// time; one session runs one thing at a time.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "ir/base/datum.h"
#include "ir/base/limits.h"
#include "runtime/core/primitive.h"
#include "runtime/core/program.h"
#include "runtime/threads/threads.h"

namespace gannet {

struct StepTime {
  int32_t step = 0;
  int64_t start_ns = 0;
  int64_t duration_ns = 0;
  int threads = 1;
};

struct SessionOptions {
  int threads = 0;  // 0: available_cores()
  uint64_t seed = 0;  // of random ops; each run starts from it
  Limits limits;
  std::shared_ptr<PrimitiveLibrary> primitives;  // null: a program with primitive steps is refused
};

struct SessionMemory {
  int64_t arena_bytes = 0;        // of the last run
  int64_t lower_bound_bytes = 0;  // most bytes of arena buffers alive at any step
  int64_t boxed_bytes = 0;        // most bytes of results of Eval steps alive at any time
  int64_t bodies_bytes = 0;       // of the arenas and results of bodies
};

// A part of the arena in the last run: a buffer of the program, or the scratch memory of one step.
struct PlannedMemory {
  BufferId buffer = kNone;  // kNone: scratch
  int32_t first_step = 0;
  int32_t last_step = 0;
  int64_t bytes = 0;
  int64_t offset = 0;
};

// The seed of one step of a loop that started from `seed`: unrelated numbers for each step.
uint64_t step_seed(uint64_t seed, int64_t step);

class Session {
 public:
  // Where the extents of all inputs are fixed, all that depends on them is made here, and the first run is like the others.
  static Result<std::unique_ptr<Session>> create(std::shared_ptr<const Program> program, SessionOptions options);
  virtual ~Session() = default;

  // Runs on `inputs`, in the order of Program::inputs. Errors name the input or the step.
  virtual Result<std::vector<Datum>> run(std::span<const Datum> inputs) = 0;
  // As run; outputs go to `outputs`, which must be tensors of the right type and extents that nothing else shares
  // (InvalidInput otherwise). A second run with inputs of the same extents allocates nothing.
  virtual Status run_into(std::span<const Datum> inputs, std::span<Datum> outputs) = 0;

  // What the program's State `index` holds now. A copy of the tensor stays what it is: a run that changes the State
  // then copies it first, once, so a checkpoint costs memory only while it is held. A run that fails may have changed
  // some States and not others.
  virtual const Tensor& state(size_t index) const = 0;
  // The next run starts from `value`, of the State's type and extents (InvalidInput otherwise), which it shares with
  // the caller until a run changes it.
  virtual Status set_state(size_t index, Tensor value) = 0;
  // Gives the State away, so that whoever takes it over need not copy it. Until set_state the session has none and does
  // not run (InvalidInput).
  virtual Tensor take_state(size_t index) = 0;
  // Plans a run on inputs of these types and extents, whatever they hold, and runs nothing: memory() tells then what such a
  // run takes. Unsupported where that depends on what the inputs hold: extents that steps find out, bodies of loops.
  virtual Status plan_for(std::span<const Datum> inputs) = 0;
  // What the random ops of the next runs draw from, in place of SessionOptions::seed. Runs with one seed draw the same,
  // so a training loop sets step_seed(seed, step) before each step, and a resumed one continues with the same numbers.
  virtual void set_seed(uint64_t seed) = 0;
  virtual SessionMemory memory() const = 0;
  // Everything that had a place in the arena, bodies of Eval steps aside: those have arenas of their own.
  virtual std::vector<PlannedMemory> plan() const = 0;
  // Called after each run with the time of each step, in order; null: no clocks are read.
  virtual void set_profiler(std::function<void(std::span<const StepTime>)> profiler) = 0;
};

}  // namespace gannet
