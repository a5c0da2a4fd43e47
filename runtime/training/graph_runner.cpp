#include "runtime/training/graph_runner.h"

#include <fmt/format.h>

#include <utility>

#include "ir/evaluate.h"

namespace gannet {

namespace {

class SessionRunner final : public GraphRunner {
 public:
  SessionRunner(const Program& program, std::unique_ptr<Session> session) : session_(std::move(session)) {
    for (const ProgramInput& input : program.inputs) inputs_.push_back({input.name, input.type});
    for (const ProgramOutput& output : program.outputs) output_names_.push_back(output.name);
    for (const ProgramState& state : program.states) state_names_.push_back(state.name);
  }

  Result<std::vector<Datum>> run(std::span<const Datum> inputs, uint64_t seed) override {
    session_->set_seed(seed);
    return session_->run(inputs);
  }
  const Tensor& state(size_t index) const override { return session_->state(index); }
  Status set_state(size_t index, Tensor value) override {
    return session_->set_state(index, std::move(value));
  }
  Tensor take_state(size_t index) override { return session_->take_state(index); }
  Status plan_for(std::span<const Datum> inputs) override { return session_->plan_for(inputs); }
  int64_t arena_bytes() const override {
    const SessionMemory memory = session_->memory();
    return memory.arena_bytes + memory.boxed_bytes + memory.bodies_bytes;
  }

 private:
  std::unique_ptr<Session> session_;
};

class ReferenceRunner final : public GraphRunner {
 public:
  ReferenceRunner(std::unique_ptr<const Graph> graph, const Limits& limits)
      : graph_(std::move(graph)), limits_(limits) {
    for (const Value* input : graph_->inputs()) inputs_.push_back({input->name, input->type});
    for (const GraphOutput& output : graph_->outputs) output_names_.push_back(output.name);
    for (const State& state : graph_->states) {
      state_names_.push_back(state.name);
      states_.push_back(state.initial);
    }
  }

  Result<std::vector<Datum>> run(std::span<const Datum> inputs, uint64_t seed) override {
    EvaluateOptions options;
    options.limits = limits_;
    options.seed = seed;
    EvaluateResult result = TRY(evaluate(*graph_, {inputs.begin(), inputs.end()}, options, states_));
    states_ = std::move(result.state_outputs);
    return std::move(result.outputs);
  }
  const Tensor& state(size_t index) const override { return states_[index]; }
  Status set_state(size_t index, Tensor value) override {
    const Tensor& initial = graph_->states[index].initial;
    if (value.dtype() != initial.dtype() || value.extents() != initial.extents()) {
      return invalid_input(fmt::format("state '{}' is {}, given is {}", state_names_[index],
                                       type_string(initial), type_string(value)));
    }
    states_[index] = std::move(value);
    return {};
  }
  Tensor take_state(size_t index) override { return std::exchange(states_[index], Tensor()); }
  Status plan_for(std::span<const Datum>) override { return {}; }

 private:
  std::unique_ptr<const Graph> graph_;
  Limits limits_;
  std::vector<Tensor> states_;
};

}  // namespace

std::unique_ptr<GraphRunner> make_session_runner(const Program& program, std::unique_ptr<Session> session) {
  return std::make_unique<SessionRunner>(program, std::move(session));
}

std::unique_ptr<GraphRunner> make_reference_runner(std::unique_ptr<const Graph> graph, const Limits& limits) {
  return std::make_unique<ReferenceRunner>(std::move(graph), limits);
}

}  // namespace gannet
