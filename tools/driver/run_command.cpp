#include "tools/driver/run_command.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <vector>

#include "frontend/pb_file.h"
#include "ir/evaluate.h"
#include "runtime/core/artifact.h"
#include "tools/deploy/run_artifact.h"
#include "tools/deploy/run_model.h"
#include "tools/driver/command.h"
#include "tools/driver/compile.h"
#include "tools/driver/model_inputs.h"
#include "tools/driver/run_texts.h"
#include "tools/driver/runnable_model.h"

namespace gannet {

namespace {

struct Arguments {
  ModelArguments model;
  RunArguments run;
  CompileOptions compile;
  std::string backend = "compiled";
  RunTextArguments text;
  std::vector<const CLI::Option*> for_arrays, for_texts;  // flags that mean nothing for the other
};

Result<std::vector<Datum>> run_graph(Graph& graph, std::vector<Datum> inputs, const Arguments& arguments) {
  const Limits& limits = arguments.run.inputs.limits;
  if (arguments.backend == "reference") {
    TRY(round_for_reference(graph, arguments.compile));
    EvaluateOptions options;
    options.limits = limits;
    options.seed = arguments.run.inputs.seed;
    return TRY(evaluate(graph, std::move(inputs), options)).outputs;
  }
  const CompiledModel compiled = TRY(compile_graph(graph, arguments.compile));
  return TRY(make_session(compiled.program, arguments.run.threads, arguments.run.inputs.seed, limits))->run(inputs);
}

// A flag that would be passed over is an error.
Status check_flags(const Arguments& arguments) {
  const bool texts = arguments.text.given();
  for (const CLI::Option* option : texts ? arguments.for_arrays : arguments.for_texts) {
    if (option->count() == 0) continue;
    return invalid_input(option->get_name() + (texts ? " does not go with --text and --text-file"
                                                     : " needs --text or --text-file"));
  }
  return {};
}

Status run_model(Arguments& arguments) {
  TRY(check_flags(arguments));
  if (arguments.text.given()) {
    return run_texts({arguments.model, arguments.backend, arguments.compile, arguments.run.threads}, arguments.text);
  }
  TRY(settle_run_arguments(arguments.run, arguments.model.shapes));
  arguments.run.inputs.limits = TRY(limits_of(arguments.model));
  if (is_artifact(arguments.model.path)) {
    TRY(check_takes_dtype(arguments.model.path, arguments.compile));
    return run_artifact(arguments.model.path, arguments.run);
  }
  ImportedModel model = TRY(load_model(arguments.model));
  Graph& graph = *model.graph;
  TRY(apply_model_metadata(arguments.run, model.info.metadata));
  std::vector<std::string> names;
  for (const GraphOutput& output : graph.outputs) names.push_back(output.name);
  std::vector<Datum> inputs = TRY(announced_inputs(input_specs(graph), arguments.run));
  const Result<std::vector<Datum>> outputs = run_graph(graph, std::move(inputs), arguments);
  if (!outputs.ok()) return with_prefix(arguments.model.path + ": ", outputs.error());
  return report_outputs(names, *outputs, arguments.run);
}

}  // namespace

CLI::App* add_run_command(CLI::App& app, std::function<int()>& run) {
  auto arguments = std::make_shared<Arguments>();
  arguments->run.inputs.read_pb = read_pb_input;
  arguments->run.write_pb = write_pb;
  CLI::App* command = add_command(app, "run", "Run a model once and print its outputs.",
                                  "gannet run resnet50.onnx --input data=kitten.jpg --top 5", run,
                                  [arguments] { return run_model(*arguments); });
  add_model_arguments(*command, arguments->model);
  add_backend_argument(*command, arguments->backend);
  add_compile_arguments(*command, arguments->compile);
  const auto added_by = [&](const auto& add) {
    const std::vector<CLI::Option*> before = command->get_options(nullptr);
    add();
    std::vector<const CLI::Option*> added;
    for (const CLI::Option* option : command->get_options(nullptr)) {
      const bool shared = option->get_name() == "--threads";
      if (!shared && std::ranges::find(before, option) == before.end()) added.push_back(option);
    }
    return added;
  };
  arguments->for_arrays = added_by([&] { add_run_arguments(*command, arguments->run); });
  arguments->for_texts = added_by([&] { add_run_text_arguments(*command, arguments->text); });
  add_help_all(*command);
  return command;
}

}  // namespace gannet
