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
  return json;
}

}  // namespace gannet
