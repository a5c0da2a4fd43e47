#include "tools/deploy/run_tuned.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/signature.h"
#include "runtime/core/artifact.h"
#include "runtime/training/safetensors.h"
#include "tools/deploy/run_artifact.h"

namespace gannet {

namespace {

Status set_weights(Session& session, const Program& program, const NamedTensors& weights) {
  for (size_t i = 0; i < program.states.size(); ++i) {
    const std::string& name = program.states[i].name;
    const auto found = std::ranges::find(weights, name, &std::pair<std::string, Tensor>::first);
    if (found == weights.end()) return invalid_input(fmt::format("weight '{}' is missing", name));
    if (Status status = session.set_state(i, found->second); !status.ok()) return with_prefix(fmt::format("weight '{}': ", name), status.error());
  }
  for (const auto& weight : weights) {
    if (std::ranges::find(program.states, weight.first, &ProgramState::name) == program.states.end())
      return invalid_input(fmt::format("the model has no weight '{}'", weight.first));
  }
  return {};
}

// Evaluation measures a loss as well, for which any target of the right extents will do.
Result<Tensor> any_target(const Program& program, std::span<const Datum> inputs) {
  SymbolValues symbols;
  for (size_t i = 0; i < inputs.size(); ++i) TRY(bind_input({program.inputs[i].name, program.inputs[i].type}, inputs[i], symbols));
  const Type& type = program.inputs.back().type;
  return Tensor::zeros(type.dtype, TRY(evaluate(*type.shape, symbols)));
}

}  // namespace

Status run_tuned(const std::string& path, const std::string& weights, const RunArguments& arguments) {
  const TargetProgram file = TRY(read_trainable_artifact(path));
  const TrainingPart& part = *file.training;
  const Program& program = *part.evaluation;
  const Safetensors tuned = TRY(read_safetensors(weights, arguments.inputs.limits));
  if (Status status = check_shapes(program, arguments.inputs.shapes); !status.ok()) return with_prefix(path + ": ", status.error());
  RunArguments own = arguments;
  TRY(apply_model_metadata(own, with_entries(file.program->metadata, model_metadata_of(tuned.metadata))));
  Result<std::unique_ptr<Session>> session = make_session(part.evaluation, arguments.threads, arguments.inputs.seed, arguments.inputs.limits);
  if (!session.ok()) return with_prefix(path + ": ", session.error());
  if (Status status = set_weights(**session, program, tuned.tensors); !status.ok()) return with_prefix(weights + ": ", status.error());
  std::vector<InputSpec> specs = input_specs(program);
  specs.resize(part.model_inputs());
  std::vector<Datum> inputs = TRY(announced_inputs(specs, own));
  Result<Tensor> target = any_target(program, inputs);
  if (!target.ok()) return with_prefix(path + ": ", target.error());
  inputs.emplace_back(*std::move(target));
  const Result<std::vector<Datum>> outputs = (*session)->run(inputs);
  if (!outputs.ok()) return with_prefix(path + ": ", outputs.error());
  const auto prediction = std::ranges::find(program.outputs, "prediction", &ProgramOutput::name) - program.outputs.begin();
  const std::vector<std::string> names = {part.plan.target.output};
  return report_outputs(names, std::span(*outputs).subspan(static_cast<size_t>(prediction), 1), own);
}

}  // namespace gannet
