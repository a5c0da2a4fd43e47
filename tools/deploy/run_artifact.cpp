#include "tools/deploy/run_artifact.h"

#include "runtime/core/artifact.h"

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
  options.primitives = make_onednn_library();
  return Session::create(std::move(program), std::move(options));
}

Status run_artifact(const std::string& path, const RunArguments& arguments) {
  const std::shared_ptr<const Program> program = TRY(read_artifact(path));
  const std::vector<Datum> inputs = TRY(announced_inputs(input_specs(*program), arguments));
  Result<std::unique_ptr<Session>> session = make_session(program, arguments.threads, arguments.inputs.seed, arguments.inputs.limits);
  if (!session.ok()) return with_prefix(path + ": ", session.error());
  const Result<std::vector<Datum>> outputs = (*session)->run(inputs);
  if (!outputs.ok()) return with_prefix(path + ": ", outputs.error());
  return report_outputs(output_names(*program), *outputs, arguments);
}

}  // namespace gannet
