#include "runtime/training/training_engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace gannet {

namespace {

constexpr std::string_view kAverage = "ema/", kMeasure = "measure/";
constexpr std::string_view kSecond = "second/";  // of passes/twin_model.h

std::optional<size_t> index_in(const std::vector<std::string>& names, std::string_view name) {
  const auto found = std::ranges::find(names, name);
  if (found == names.end()) return std::nullopt;
  return static_cast<size_t>(found - names.begin());
}

int64_t rows(const BatchColumns& batch) { return batch.at(0).extent(0); }

std::vector<Datum> with_scalar(const GraphRunner& runner, const BatchColumns& batch, double scalar) {
  std::vector<Datum> inputs(batch.begin(), batch.end());
  inputs.emplace_back(Tensor::scalar_of(runner.inputs().back().type.dtype, scalar));
  return inputs;
}

Result<Tensor> output_of(const GraphRunner& runner, const std::vector<Datum>& outputs,
                         std::string_view name) {
  const auto index = index_in(runner.output_names(), name);
  CHECK(index, "a training graph has no output '{}'", name);
  return outputs[*index].tensor();
}

// The measures of an update, gathered batch by batch.
class Fractions {
 public:
  void add(const GraphRunner& runner, const std::vector<Datum>& outputs) {
    size_t count = 0;
    for (size_t i = 0; i < outputs.size(); ++i) {
      const std::string& name = runner.output_names()[i];
      if (!name.starts_with(kMeasure)) continue;
      if (count == all_.size()) all_.push_back({name.substr(kMeasure.size())});
      all_[count].part += outputs[i].tensor().double_at(0);
      all_[count].whole += outputs[i].tensor().double_at(1);
      ++count;
    }
  }
  std::vector<Measure> measures() const {
    std::vector<Measure> result;
    for (const Fraction& each : all_) {
      if (each.whole > 0) result.push_back({each.name, each.part / each.whole});
    }
    return result;
  }

 private:
  struct Fraction {
    std::string name;
    double part = 0, whole = 0;
  };
  std::vector<Fraction> all_;
};

}  // namespace

BatchColumns rows_of(const BatchColumns& batch, int64_t begin, int64_t end) {
  BatchColumns part;
  for (const Tensor& column : batch) {
    const int64_t all = column.extent(0);
    std::vector<int64_t> extents = column.extents();
    extents[0] = end - begin;
    Tensor piece = Tensor::zeros(column.dtype(), std::move(extents));
    const auto row_bytes = static_cast<size_t>(column.bytes() / std::max<int64_t>(all, 1));
    if (piece.bytes() > 0) {
      std::memcpy(piece.mutable_raw(),
                  static_cast<const std::byte*>(column.raw()) + static_cast<size_t>(begin) * row_bytes,
                  static_cast<size_t>(piece.bytes()));
    }
    part.push_back(std::move(piece));
  }
  return part;
}

TrainingEngine::TrainingEngine(EngineGraphs graphs) : graphs_(std::move(graphs)) {
  for (size_t i = 0; evaluates() && i < graphs_.evaluation->state_names().size(); ++i) graphs_.evaluation->take_state(i);
  if (graphs_.apply == nullptr) return;
  to_apply_ = links(*graphs_.step, *graphs_.apply);
  from_apply_ = links(*graphs_.apply, *graphs_.step);
  for (const Link& link : to_apply_) graphs_.apply->take_state(link.to);
}

std::vector<TrainingEngine::Link> TrainingEngine::links(const GraphRunner& from, const GraphRunner& to) {
  std::vector<Link> links;
  for (size_t i = 0; i < from.state_names().size(); ++i) {
    if (const auto j = index_in(to.state_names(), from.state_names()[i])) links.push_back({i, *j});
  }
  return links;
}

Status TrainingEngine::hand_over(GraphRunner& from, GraphRunner& to, const std::vector<Link>& links) {
  for (const Link& link : links) TRY(to.set_state(link.to, from.take_state(link.from)));
  return {};
}

// What evaluation reads would have to be copied before it changes.
void TrainingEngine::end_evaluation() {
  if (!evaluates() || evaluation_is_stale_) return;
  for (size_t i = 0; i < graphs_.evaluation->state_names().size(); ++i) graphs_.evaluation->take_state(i);
  evaluation_is_stale_ = true;
}

std::vector<Datum> TrainingEngine::step_inputs(const BatchColumns& batch, double scalar,
                                               uint64_t seed) const {
  std::vector<Datum> inputs = with_scalar(*graphs_.step, batch, scalar);
  if (graphs_.seed_input) {
    const auto place = inputs.begin() + static_cast<std::ptrdiff_t>(*graphs_.seed_input);
    inputs.insert(place, Tensor::scalar(static_cast<int64_t>(seed)));
  }
  return inputs;
}

Result<Updated> TrainingEngine::update(std::span<const BatchColumns> batches, double rate, uint64_t seed) {
  CHECK(!batches.empty() && (batches.size() == 1 || accumulates()), "{} batches in an update",
        batches.size());
  end_evaluation();
  GraphRunner& step = *graphs_.step;
  Fractions fractions;
  if (!accumulates()) {
    const std::vector<Datum> outputs = TRY(step.run(step_inputs(batches[0], rate, seed), seed));
    fractions.add(step, outputs);
    return Updated{TRY(output_of(step, outputs, "loss")).double_at(0), fractions.measures()};
  }
  int64_t all = 0;
  for (const BatchColumns& batch : batches) all += rows(batch);
  double loss = 0;
  for (size_t i = 0; i < batches.size(); ++i) {
    const double share = static_cast<double>(rows(batches[i])) / static_cast<double>(all);
    const uint64_t piece_seed = step_seed(seed, static_cast<int64_t>(i));
    const std::vector<Datum> outputs = TRY(step.run(step_inputs(batches[i], share, piece_seed), piece_seed));
    loss += share * TRY(output_of(step, outputs, "loss")).double_at(0);
    fractions.add(step, outputs);
  }
  GraphRunner& apply = *graphs_.apply;
  TRY(hand_over(step, apply, to_apply_));
  const Result<std::vector<Datum>> applied = apply.run(with_scalar(apply, {}, rate), seed);
  TRY(hand_over(apply, step, from_apply_));
  if (!applied.ok()) return applied.error();
  return Updated{loss, fractions.measures()};
}

Result<Evaluated> TrainingEngine::evaluate(const BatchColumns& batch) {
  CHECK(evaluates(), "the engine has no graph to evaluate");
  GraphRunner& evaluation = *graphs_.evaluation;
  if (evaluation_is_stale_) {
    const NamedTensors present = weights();
    for (size_t i = 0; i < present.size(); ++i) TRY(evaluation.set_state(i, present[i].second));
    evaluation_is_stale_ = false;
  }
  const std::vector<Datum> outputs = TRY(evaluation.run(std::vector<Datum>(batch.begin(), batch.end()), 0));
  return Evaluated{TRY(output_of(evaluation, outputs, "loss")).double_at(0),
                   TRY(output_of(evaluation, outputs, "prediction"))};
}

Status TrainingEngine::evaluate_with(const NamedTensors& weights) {
  GraphRunner& evaluation = *graphs_.evaluation;
  for (const auto& [name, tensor] : weights) {
    if (const auto index = index_in(evaluation.state_names(), name)) TRY(evaluation.set_state(*index, tensor));
  }
  evaluation_is_stale_ = false;
  return {};
}

NamedTensors TrainingEngine::states() const {
  NamedTensors states;
  for (const GraphRunner* runner : {graphs_.step.get(), graphs_.apply.get()}) {
    if (runner == nullptr) continue;
    for (size_t i = 0; i < runner->state_names().size(); ++i) {
      const std::string& name = runner->state_names()[i];
      const bool known = runner != graphs_.step.get() && index_in(graphs_.step->state_names(), name);
      if (!known) states.emplace_back(name, runner->state(i));
    }
  }
  return states;
}

Status TrainingEngine::restore(const NamedTensors& states) {
  const NamedTensors present = this->states();
  for (const auto& [name, tensor] : states) {
    const auto own = std::ranges::find(present, name, &std::pair<std::string, Tensor>::first);
    if (own == present.end())
      return invalid_input(fmt::format("there is no state '{}' in this training", name));
    if (own->second.dtype() != tensor.dtype() || own->second.extents() != tensor.extents()) {
      return invalid_input(fmt::format("state '{}' is {}, this training has {}", name, type_string(tensor),
                                       type_string(own->second)));
    }
  }
  for (const auto& own : present) {
    if (std::ranges::find(states, own.first, &std::pair<std::string, Tensor>::first) == states.end()) {
      return invalid_input(fmt::format("state '{}' is missing", own.first));
    }
  }
  end_evaluation();
  for (const auto& [name, tensor] : states) {
    const auto [runner, index] = *owner_of(name);
    TRY(runner->set_state(index, tensor));
  }
  return {};
}

Status TrainingEngine::own_states() {
  for (GraphRunner* runner : {graphs_.step.get(), graphs_.apply.get()}) {
    if (runner == nullptr) continue;
    for (size_t i = 0; i < runner->state_names().size(); ++i) {
      if (owner_of(runner->state_names()[i])->first != runner) continue;
      Tensor own = runner->take_state(i);
      own.mutable_raw();
      TRY(runner->set_state(i, std::move(own)));
    }
  }
  return {};
}

Status TrainingEngine::plan_for(const BatchColumns& batch, int64_t rows) {
  BatchColumns columns;
  for (const Tensor& column : batch) {
    std::vector<int64_t> extents = column.extents();
    extents[0] = rows;
    columns.push_back(Tensor::zeros(column.dtype(), std::move(extents)));
  }
  TRY(graphs_.step->plan_for(step_inputs(columns, 0, 0)));
  if (graphs_.apply) TRY(graphs_.apply->plan_for(with_scalar(*graphs_.apply, {}, 0)));
  if (evaluates()) TRY(graphs_.evaluation->plan_for(std::vector<Datum>(columns.begin(), columns.end())));
  return {};
}

std::optional<std::pair<GraphRunner*, size_t>> TrainingEngine::owner_of(const std::string& name) const {
  for (GraphRunner* runner : {graphs_.step.get(), graphs_.apply.get()}) {
    if (runner == nullptr) continue;
    if (const auto index = index_in(runner->state_names(), name)) return std::pair(runner, *index);
  }
  return std::nullopt;
}

const Tensor* TrainingEngine::find(const std::string& name) const {
  const auto owner = owner_of(name);
  return owner ? &owner->first->state(owner->second) : nullptr;
}

NamedTensors TrainingEngine::weights() const {
  NamedTensors weights;
  const GraphRunner& model = evaluates() ? *graphs_.evaluation : *graphs_.step;
  for (const std::string& name : model.state_names()) {
    const std::string own = second_ ? std::string(kSecond) + name : name;
    const Tensor* value = graphs_.averages ? find(std::string(kAverage) + own) : nullptr;
    if (value == nullptr) value = find(own);
    CHECK(value != nullptr, "the training step has no state '{}'", own);
    weights.emplace_back(name, *value);
  }
  return weights;
}

bool TrainingEngine::has_second() const {
  const std::vector<std::string>& names = graphs_.step->state_names();
  return evaluates() && std::ranges::any_of(names, [](const std::string& name) { return name.starts_with(kSecond); });
}

void TrainingEngine::choose_second(bool second) {
  if (second != second_) end_evaluation();
  second_ = second;
}

int64_t TrainingEngine::state_bytes() const {
  int64_t bytes = 0;
  for (const auto& [name, tensor] : states()) bytes += tensor.bytes();
  return bytes;
}

int64_t TrainingEngine::arena_bytes() const {
  int64_t bytes = 0;
  for (const GraphRunner* runner : {graphs_.step.get(), graphs_.apply.get(), graphs_.evaluation.get()}) {
    if (runner) bytes += runner->arena_bytes();
  }
  return bytes;
}

}  // namespace gannet
