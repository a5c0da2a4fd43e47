#include "tools/deploy/picture_input.h"
#include "tools/driver/runnable_model.h"

#include <fmt/format.h>

#include "frontend/inference_form.h"
#include "ir/evaluate.h"
#include "runtime/core/artifact.h"
#include "tools/driver/compile.h"
#include "tools/driver/model_inputs.h"
#include "tools/driver/model_pictures.h"
#include "tools/driver/text_inputs.h"

namespace gannet {

namespace {

void run_program(RunnableModel& model, std::shared_ptr<Session> session) {
  model.run = [session = std::move(session),
               path = model.path](const std::vector<Datum>& inputs) -> Result<std::vector<Datum>> {
    Result<std::vector<Datum>> outputs = session->run(inputs);
    if (!outputs.ok()) return with_prefix(path + ": ", outputs.error());
    return outputs;
  };
}

std::optional<int64_t> fixed_rows_of(const std::vector<InputSpec>& inputs) {
  for (const InputSpec& input : inputs) {
    const std::optional<Shape>& shape = input.type.shape;
    if (shape && !shape->empty() && (*shape)[0].is_constant()) return (*shape)[0].constant();
  }
  return std::nullopt;
}

Result<RunnableModel> load_artifact(const RunnableOptions& options, const Limits& limits) {
  RunnableModel model;
  model.path = options.model.path;
  TRY(check_takes_dtype(model.path, options.compile));
  const std::shared_ptr<const Program> program = TRY(read_artifact(model.path));
  model.inputs = input_specs(*program);
  for (const ProgramOutput& output : program->outputs) model.outputs.push_back({output.name, output.type});
  model.metadata = program->metadata;
  model.fixed_rows = fixed_rows_of(model.inputs);
  Result<std::unique_ptr<Session>> session = make_session(program, options.threads, 0, limits);
  if (!session.ok()) return with_prefix(model.path + ": ", session.error());
  run_program(model, *std::move(session));
  return model;
}

Status run_reference(RunnableModel& model, std::unique_ptr<Graph> graph, const Limits& limits) {
  model.run = [graph = std::shared_ptr<Graph>(std::move(graph)), limits,
               path = model.path](const std::vector<Datum>& inputs) -> Result<std::vector<Datum>> {
    EvaluateOptions evaluation;
    evaluation.limits = limits;
    auto result = evaluate(*graph, inputs, evaluation);
    if (!result.ok()) return with_prefix(path + ": ", result.error());
    return std::move(result->outputs);
  };
  return {};
}

}  // namespace

Status check_takes_dtype(const std::string& path, const CompileOptions& options) {
  if (options.product_dtype == DType::kF32) return {};
  return invalid_input(fmt::format("{}: is compiled already; --dtype {} is for gannet compile", path, name_of(options.product_dtype)));
}

Result<RunnableModel> load_runnable(const RunnableOptions& options) {
  const Limits limits = TRY(limits_of(options.model));
  if (is_artifact(options.model.path)) return load_artifact(options, limits);
  ImportedModel imported = TRY(load_model(options.model));
  ModelArguments open = options.model;
  const bool fixed = fixed_rows_of(input_specs(*imported.graph)) && options.model.shapes.empty();
  open.symbolic_batch = options.model.symbolic_batch || fixed;
  InferenceForm form;
  if (options.inference_form) form = TRY(to_inference_form(*imported.source, limits));
  if (form.file) {
    imported = TRY(import_model(form.file, TRY(import_options(open))));
  } else if (open.symbolic_batch && !options.model.symbolic_batch) {
    imported = TRY(load_model(open));
  }
  if (options.prepare) TRY(options.prepare(*imported.graph));
  RunnableModel model;
  model.path = options.model.path;
  if (form.file)
    model.notes.push_back(fmt::format("{} batch normalizations in training mode use their running statistics", form.nodes.size()));
  model.inputs = input_specs(*imported.graph);
  model.outputs = output_specs(*imported.graph);
  model.metadata = imported.info.metadata;
  model.positions = position_count(*imported.graph);
  model.normalization = normalization_of(*imported.graph);
  model.fixed_rows = fixed_rows_of(model.inputs);
  if (options.backend == "reference") {
    TRY(round_for_reference(*imported.graph, options.compile));
    TRY(run_reference(model, std::move(imported.graph), limits));
    return model;
  }
  Result<CompiledModel> compiled = compile_graph(*imported.graph, options.compile);
  if (!compiled.ok()) return with_prefix(model.path + ": ", compiled.error());
  run_program(model, TRY(make_session(compiled->program, options.threads, 0, limits)));
  return model;
}

}  // namespace gannet
