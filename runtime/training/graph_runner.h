// A graph with State that is run again and again: compiled, or by the reference evaluator, which the compiled
// one is compared with.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ir/base/datum.h"
#include "ir/base/limits.h"
#include "ir/graph.h"
#include "runtime/core/session.h"

namespace gannet {

class GraphRunner {
 public:
  struct Input {
    std::string name;
    Type type;
  };

  virtual ~GraphRunner() = default;

  const std::vector<Input>& inputs() const { return inputs_; }
  const std::vector<std::string>& output_names() const { return output_names_; }
  const std::vector<std::string>& state_names() const { return state_names_; }

  // Runs on `inputs`, in order, and moves the States on; random ops draw from `seed`.
  virtual Result<std::vector<Datum>> run(std::span<const Datum> inputs, uint64_t seed) = 0;
  virtual const Tensor& state(size_t index) const = 0;
  // `value` has the State's type and extents; it is shared until a run changes it.
  virtual Status set_state(size_t index, Tensor value) = 0;
  // Gives the State away; there is none until set_state, and no run.
  virtual Tensor take_state(size_t index) = 0;
  // Plans a run on inputs like these without running; Unsupported where memory depends on what they hold.
  virtual Status plan_for(std::span<const Datum> inputs) = 0;
  // Memory of values between inputs and outputs in the last run or plan; 0 where it is not planned.
  virtual int64_t arena_bytes() const { return 0; }

 protected:
  std::vector<Input> inputs_;
  std::vector<std::string> output_names_, state_names_;
};

std::unique_ptr<GraphRunner> make_session_runner(const Program& program, std::unique_ptr<Session> session);
std::unique_ptr<GraphRunner> make_reference_runner(std::unique_ptr<const Graph> graph, const Limits& limits);

}  // namespace gannet
