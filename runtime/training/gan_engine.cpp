#include "runtime/training/gan_engine.h"

#include <fmt/format.h>

#include <algorithm>

namespace gannet {

namespace {

constexpr std::string_view kAverage = "ema/";

}  // namespace

GanEngine::GanEngine(GanPrograms programs) : programs_(std::move(programs)) {
  for (const GanProgram* program : {&programs_.both, &programs_.discriminator, &programs_.generator, &programs_.generation}) {
    GraphRunner* runner = program->runner.get();
    for (size_t i = 0; runner && i < runner->state_names().size(); ++i) {
      const std::string& name = runner->state_names()[i];
      const bool is_new = kept_.try_emplace(name, runner->take_state(i)).second;
      if (is_new) names_.push_back(name);
    }
  }
}

Status GanEngine::activate(GraphRunner& runner) {
  if (active_ == &runner) return {};
  for (size_t i = 0; active_ && i < active_->state_names().size(); ++i)
    kept_[active_->state_names()[i]] = active_->take_state(i);
  active_ = &runner;
  for (size_t i = 0; i < runner.state_names().size(); ++i)
    TRY(runner.set_state(i, std::move(kept_[runner.state_names()[i]])));
  return {};
}

Result<GanMeasures> GanEngine::update(const GanProgram& step, const BatchColumns& batch, int64_t rows,
                                      const GanScalars& scalars, uint64_t seed) {
  CHECK(step.runner, "there is no such step");
  TRY(activate(*step.runner));
  const std::vector<Datum> inputs = TRY(gan_inputs(step.inputs, batch, rows, scalars, seed));
  const std::vector<Datum> outputs = TRY(step.runner->run(inputs, seed));
  GanMeasures measures;
  for (size_t i = 0; i < outputs.size(); ++i)
    measures[step.runner->output_names()[i]] = outputs[i].tensor().double_at(0);
  return measures;
}

const Tensor& GanEngine::state(const std::string& name) const {
  if (active_) {
    const auto& names = active_->state_names();
    const auto found = std::ranges::find(names, name);
    if (found != names.end()) return active_->state(static_cast<size_t>(found - names.begin()));
  }
  return kept_.at(name);
}

// The generation gives its States back at once: an update would have to copy what it shares.
Result<Tensor> GanEngine::generate(const std::vector<Datum>& inputs) {
  GraphRunner& runner = *programs_.generation.runner;
  for (size_t i = 0; i < runner.state_names().size(); ++i) {
    const std::string& name = runner.state_names()[i];
    const std::string average = std::string(kAverage) + name;
    TRY(runner.set_state(i, state(kept_.contains(average) ? average : name)));
  }
  const Result<std::vector<Datum>> outputs = runner.run(inputs, 0);
  for (size_t i = 0; i < runner.state_names().size(); ++i) runner.take_state(i);
  if (!outputs.ok()) return outputs.error();
  return (*outputs)[0].tensor();
}

NamedTensors GanEngine::states() const {
  NamedTensors states;
  for (const std::string& name : names_) states.emplace_back(name, state(name));
  return states;
}

Status GanEngine::restore(const NamedTensors& states) {
  std::map<std::string, Tensor> given(states.begin(), states.end());
  for (const auto& [name, tensor] : given) {
    if (!kept_.contains(name)) return invalid_input(fmt::format("there is no state '{}' in this training", name));
    const Tensor& own = state(name);
    if (own.dtype() != tensor.dtype() || own.extents() != tensor.extents())
      return invalid_input(fmt::format("state '{}' is {}, this training has {}", name, type_string(tensor), type_string(own)));
  }
  for (const std::string& name : names_) {
    if (!given.contains(name)) return invalid_input(fmt::format("state '{}' is missing", name));
  }
  for (size_t i = 0; active_ && i < active_->state_names().size(); ++i) active_->take_state(i);
  active_ = nullptr;
  kept_ = std::move(given);
  return {};
}

int64_t GanEngine::arena_bytes() const {
  int64_t bytes = 0;
  for (const GanProgram* program : {&programs_.both, &programs_.discriminator, &programs_.generator}) {
    if (program->runner) bytes = std::max(bytes, program->runner->arena_bytes());
  }
  return bytes;
}

}  // namespace gannet
