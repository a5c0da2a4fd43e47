#include "tools/deploy/run_artifact.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/core/artifact.h"
#include "runtime/kernels/program_library.h"

namespace gannet {

std::vector<InputSpec> input_specs(const Program& program) {
  std::vector<InputSpec> specs;
  for (const ProgramInput& input : program.inputs) specs.push_back({input.name, input.type, input.index_bound});
  return specs;
}

std::vector<std::string> output_names(const Program& program) {
  std::vector<std::string> names;
  for (const ProgramOutput& output : program.outputs) names.push_back(output.name);
  return names;
}

Result<std::unique_ptr<Session>> make_session(std::shared_ptr<const Program> program, int threads, uint64_t seed, const Limits& limits) {
  SessionOptions options;
  options.threads = threads;
  options.seed = seed;
  options.limits = limits;
  options.primitives = TRY(make_program_library(*program));
  return Session::create(std::move(program), std::move(options));
}

Status check_shapes(const Program& program, const std::map<std::string, Shape>& shapes) {
  for (const auto& [name, shape] : shapes) {
    const auto input = std::ranges::find(program.inputs, name, &ProgramInput::name);
    if (input == program.inputs.end()) return invalid_input(fmt::format("--shape: the model has no input '{}'", name));
    const std::optional<Shape>& compiled = input->type.shape;
    bool fits = !compiled || compiled->size() == shape.size();
    for (size_t axis = 0; fits && compiled && axis < shape.size(); ++axis) {
      fits = !(*compiled)[axis].is_constant() || (*compiled)[axis] == shape[axis];
    }
    if (fits) continue;
    return invalid_input(fmt::format("--shape: input '{}' was compiled as {}, not {}; gannet compile has --batch and --shape", name,
                                     to_string(input->type), to_string(std::span<const Dim>(shape))));
  }
  return {};
}

Status run_artifact(const std::string& path, const RunArguments& arguments) {
  const std::shared_ptr<const Program> program = TRY(read_artifact(path));
  if (Status status = check_shapes(*program, arguments.inputs.shapes); !status.ok()) return with_prefix(path + ": ", status.error());
  RunArguments own = arguments;
  TRY(apply_model_metadata(own, program->metadata));
  Result<std::unique_ptr<Session>> session = make_session(program, arguments.threads, arguments.inputs.seed, arguments.inputs.limits);
  if (!session.ok()) return with_prefix(path + ": ", session.error());
  const std::vector<Datum> inputs = TRY(announced_inputs(input_specs(*program), own));
  const Result<std::vector<Datum>> outputs = (*session)->run(inputs);
  if (!outputs.ok()) return with_prefix(path + ": ", outputs.error());
  return report_outputs(output_names(*program), *outputs, own);
}

}  // namespace gannet
