#include "runtime/core/training_part.h"

#include <algorithm>
#include <cmath>

#include "runtime/core/program_check.h"
#include "runtime/core/program_fields.h"

namespace gannet {
namespace {

template <class A>
void optional_field(A& a, std::optional<int64_t>& value) {
  bool present = value.has_value();
  int64_t number = value.value_or(0);
  a(present, number);
  if constexpr (A::kReads) {
    if (present) value = number;
  }
}

template <class A>
void part_fields(A& a, TrainingPart& part) {
  TrainingPlan& plan = part.plan;
  TargetForm& target = plan.target;
  a(target.kind, target.output, target.class_axis, target.threshold, target.top);
  optional_field(a, target.classes);
  optional_field(a, target.ignore_index);
  a(plan.loss, plan.optimizer, plan.batch_statistics, plan.class_names, plan.pixel_scale, plan.takes_seed);
  TrainingDefaults& defaults = plan.defaults;
  a(defaults.epochs, defaults.batch_size, defaults.accumulate, defaults.rate, defaults.schedule, defaults.warmup,
    defaults.final_share, defaults.step_every, defaults.step_factor);
  bool has_apply = part.apply != nullptr;
  a(has_apply, part.step, part.evaluation);
  if (has_apply) a(part.apply);
}

Error contradiction(const std::string& what) { return invalid_input("its training part contradicts itself: " + what); }

const ProgramOutput* output_of(const Program& program, std::string_view name) {
  const auto found = std::ranges::find(program.outputs, name, &ProgramOutput::name);
  return found == program.outputs.end() ? nullptr : &*found;
}

bool is_scalar(const Type& type) { return type.is_tensor() && is_float(type.dtype) && type.shape && type.shape->empty(); }

const Tensor* state_of(const Program* program, const std::string& name) {
  if (program == nullptr) return nullptr;
  const auto found = std::ranges::find(program->states, name, &ProgramState::name);
  return found == program->states.end() ? nullptr : &program->constants[static_cast<size_t>(found->initial)];
}

bool same_type(const Tensor* a, const Tensor& b) { return a && a->dtype() == b.dtype() && a->extents() == b.extents(); }

// Every weight that evaluation reads is one that the step, or what applies its gradients, has too.
Status check_states(const TrainingPart& part) {
  for (const ProgramState& state : part.evaluation->states) {
    const Tensor& weight = part.evaluation->constants[static_cast<size_t>(state.initial)];
    const std::string average = "ema/" + state.name;
    const bool known = same_type(state_of(part.step.get(), state.name), weight);
    const Tensor* averaged = state_of(part.step.get(), average);
    if (!averaged) averaged = state_of(part.apply.get(), average);
    if (!known || (averaged && !same_type(averaged, weight)))
      return contradiction(fmt::format("weight '{}' is not the same in its programs", state.name));
  }
  if (!part.apply) return {};
  for (const ProgramState& state : part.apply->states) {
    const Tensor* other = state_of(part.step.get(), state.name);
    if (other && !same_type(other, part.apply->constants[static_cast<size_t>(state.initial)]))
      return contradiction(fmt::format("state '{}' is not the same in its programs", state.name));
  }
  return {};
}

Status check_plan(const TrainingPart& part) {
  const TrainingDefaults& defaults = part.plan.defaults;
  const bool counts = defaults.epochs > 0 && defaults.batch_size > 0 && defaults.accumulate > 0 && defaults.step_every >= 0 &&
                      (part.apply || defaults.accumulate == 1);
  const bool shares = std::isfinite(defaults.final_share) && std::isfinite(defaults.step_factor);
  if (!counts || !shares || !std::isfinite(defaults.rate) || defaults.rate <= 0) return contradiction("its defaults are out of range");
  const TargetForm& target = part.plan.target;
  const Type& prediction = output_of(*part.evaluation, "prediction")->type;
  const bool has_classes = target.kind == TargetKind::kClasses || target.kind == TargetKind::kShares;
  const int64_t rank = prediction.rank();
  const int64_t place = target.class_axis < 0 ? target.class_axis + rank : target.class_axis;
  const bool axis = !has_classes || (place > 0 && place < rank);
  const bool counted = has_classes && axis && target.classes;
  const bool classes = !counted || (*prediction.shape)[static_cast<size_t>(place)].is_constant(*target.classes);
  const bool integers = (target.type.dtype == DType::kI64) == (target.kind == TargetKind::kClasses);
  if (!axis || !classes || !integers || target.top < 1)
    return contradiction(fmt::format("targets of {} are for another output than {}", to_string(target.type), to_string(prediction)));
  return {};
}

}  // namespace

void fields(ArchiveWriter& a, TrainingPart& part) { part_fields(a, part); }

void fields(ArchiveReader& a, TrainingPart& part) {
  part_fields(a, part);
  if (!a.failed() && !part.evaluation->inputs.empty()) part.plan.target.type = part.evaluation->inputs.back().type;
}

Status check_training_part(const TrainingPart& part, const Program& model) {
  for (const auto& program : {part.step, part.evaluation, part.apply}) {
    if (!program) continue;
    if (Status status = check_program(*program); !status.ok()) return with_prefix("its training part contradicts itself: ", status.error());
  }
  const size_t columns = model.inputs.size() + 1;
  const std::vector<ProgramInput>&given = part.step->inputs, &measured = part.evaluation->inputs;
  if (measured.size() != columns || given.size() != columns + 1 + (part.plan.takes_seed ? 1 : 0) || !is_scalar(given.back().type))
    return contradiction(fmt::format("a model of {} inputs has {} in training and {} in evaluation", model.inputs.size(), given.size(), measured.size()));
  const Type& seed = given[columns - 1].type;
  if (part.plan.takes_seed && (!seed.is_tensor() || seed.dtype != DType::kI64 || !seed.shape || !seed.shape->empty()))
    return contradiction(fmt::format("its seed is {}", to_string(seed)));
  for (size_t i = 0; i < columns; ++i) {
    const size_t there = i + (i + 1 == columns && part.plan.takes_seed ? 1 : 0);
    const bool same = to_string(given[there].type) == to_string(measured[i].type) && measured[i].type.is_tensor();
    if (!same || (i + 1 < columns && (given[i].name != model.inputs[i].name || measured[i].name != model.inputs[i].name)))
      return contradiction(fmt::format("input {} is '{}' in training", i, given[there].name));
  }
  if (part.apply && (part.apply->inputs.size() != 1 || !is_scalar(part.apply->inputs[0].type)))
    return contradiction("gradients are applied with other inputs than a learning rate");
  const ProgramOutput *loss = output_of(*part.step, "loss"), *measured_loss = output_of(*part.evaluation, "loss");
  const ProgramOutput* prediction = output_of(*part.evaluation, "prediction");
  if (!loss || !is_scalar(loss->type) || !measured_loss || !is_scalar(measured_loss->type)) return contradiction("it has no loss");
  if (!prediction || !prediction->type.is_tensor() || !prediction->type.shape) return contradiction("it has no prediction");
  if (!measured.back().type.shape) return contradiction("its targets have no shape");
  TRY(check_states(part));
  return check_plan(part);
}

}  // namespace gannet
