#include "tools/driver/artifact_summary.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <variant>

#include "runtime/kernels/program_library.h"
#include "tools/driver/command.h"

namespace gannet {
namespace {

struct StepCounts {
  size_t kernels = 0, primitives = 0, evaluated = 0;
};

StepCounts count_steps(const Program& program) {
  StepCounts counts;
  for (const Step& step : program.steps) {
    counts.kernels += std::holds_alternative<KernelCall>(step.call);
    counts.primitives += std::holds_alternative<PrimitiveCall>(step.call);
    counts.evaluated += std::holds_alternative<EvalCall>(step.call);
  }
  return counts;
}

template <class Values>
nlohmann::json types_json(const Values& values) {
  nlohmann::json json = nlohmann::json::array();
  for (const auto& value : values) json.push_back({{"name", value.name}, {"type", to_string(value.type)}});
  return json;
}

// The training part that all programs have in common but for their steps; null where there is none.
const TrainingPart* training_part(const Artifact& artifact) { return artifact.programs.front().training.get(); }

int64_t weight_count(const TrainingPart& part) {
  int64_t count = 0;
  for (const ProgramState& state : part.evaluation->states) count += part.evaluation->constants[static_cast<size_t>(state.initial)].elements();
  return count;
}

bool training_needs_onednn(const TrainingPart& part) {
  return needs_onednn(*part.step) || needs_onednn(*part.evaluation) || (part.apply && needs_onednn(*part.apply));
}

std::string target_text(const TargetForm& target) {
  const std::string type = to_string(target.type), classes = target.classes ? fmt::format(" below {}", *target.classes) : "";
  switch (target.kind) {
    case TargetKind::kClasses: return fmt::format("class numbers{}, {}", classes, type);
    case TargetKind::kShares: return fmt::format("a probability of each class, {}", type);
    case TargetKind::kLabels: return fmt::format("0 or 1 for each label, {}", type);
    case TargetKind::kNumbers: break;
  }
  return fmt::format("numbers, {}", type);
}

nlohmann::json training_json(const TrainingPart& part) {
  const TrainingPlan& plan = part.plan;
  const TrainingDefaults& defaults = plan.defaults;
  nlohmann::json json = {{"loss", plan.loss}, {"optimizer", plan.optimizer}, {"target", to_string(plan.target.type)},
                         {"weights", weight_count(part)}, {"tensors", part.evaluation->states.size()}, {"needs_onednn", training_needs_onednn(part)},
                         {"epochs", defaults.epochs}, {"batch_size", defaults.batch_size}, {"learning_rate", defaults.rate},
                         {"schedule", defaults.schedule}, {"warmup", defaults.warmup}};
  json["classes"] = plan.target.classes ? nlohmann::json(*plan.target.classes) : nlohmann::json();
  json["inputs"] = types_json(std::span(part.evaluation->inputs).first(part.model_inputs()));
  return json;
}

}  // namespace

std::string signature_text(const Program& program) {
  std::string text;
  for (const ProgramInput& input : program.inputs)
    text += fmt::format("input {}  {}\n", printable(input.name), to_string(input.type));
  for (const ProgramOutput& output : program.outputs)
    text += fmt::format("output {}  {}\n", printable(output.name), to_string(output.type));
  return text;
}

std::string programs_text(const Artifact& artifact) {
  std::string text;
  for (const TargetProgram& made : artifact.programs) {
    const StepCounts counts = count_steps(*made.program);
    text += fmt::format("for {}: {} steps: {} generated kernels, {} library primitives{}; needs {}oneDNN\n", made.needed,
                        made.program->steps.size(), counts.kernels, counts.primitives,
                        counts.evaluated > 0 ? fmt::format(", {} evaluated by definition", counts.evaluated) : "",
                        needs_onednn(*made.program) ? "" : "no ");
  }
  return text;
}

std::string training_text(const Artifact& artifact) {
  const TrainingPart* part = training_part(artifact);
  if (!part) return "";
  const TrainingPlan& plan = part->plan;
  std::string text = fmt::format("can be fine-tuned: {} weights of {} tensors, {}, {}; needs {}oneDNN\n", weight_count(*part),
                                 part->evaluation->states.size(), plan.loss, plan.optimizer, training_needs_onednn(*part) ? "" : "no ");
  for (const ProgramInput& input : std::span(part->evaluation->inputs).first(part->model_inputs()))
    text += fmt::format("  input {}  {}\n", printable(input.name), to_string(input.type));
  text += fmt::format("  target  {}\n", target_text(plan.target));
  const TrainingDefaults& defaults = plan.defaults;
  return text + fmt::format("  unless told otherwise {} epochs, batches of {} rows, learning rate {:g}, {}\n", defaults.epochs, defaults.batch_size,
                            defaults.rate, defaults.schedule);
}

nlohmann::json artifact_json(const Artifact& artifact) {
  const Program& first = *artifact.programs.front().program;
  nlohmann::json json = {{"format", kArtifactFormat}, {"inputs", types_json(first.inputs)}, {"outputs", types_json(first.outputs)}};
  for (const auto& [key, value] : first.metadata) json["metadata"][key] = value;
  for (const TargetProgram& made : artifact.programs) {
    const StepCounts counts = count_steps(*made.program);
    json["programs"].push_back({{"target", made.target}, {"needed", made.needed}, {"steps", made.program->steps.size()},
                                {"generated_kernels", counts.kernels}, {"library_primitives", counts.primitives},
                                {"evaluated", counts.evaluated}, {"needs_onednn", needs_onednn(*made.program)}});
  }
  if (const TrainingPart* part = training_part(artifact)) json["training"] = training_json(*part);
  return json;
}

}  // namespace gannet
