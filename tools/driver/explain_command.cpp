#include "tools/driver/explain_command.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <memory>

#include "ir/base/file.h"
#include "runtime/core/artifact.h"
#include "tools/deploy/output_path.h"
#include "tools/deploy/run_model.h"
#include "tools/driver/command.h"
#include "tools/driver/explanation.h"
#include "tools/driver/model_inputs.h"

namespace gannet {
namespace {

struct ExplainArguments {
  ModelArguments model;
  RunArguments run;
  CompileOptions compile;
  std::string json, html;
};

Status write_json(const std::string& path, const Explanation& explanation) {
  const std::string json = explanation_json(explanation);
  if (path != "-") return write_file_atomically(path, json);
  fmt::print("{}", json);
  return {};
}

Status explain(ExplainArguments& arguments) {
  if (is_artifact(arguments.model.path)) {
    return invalid_input(arguments.model.path + ": is compiled already; gannet explain takes the ONNX file");
  }
  TRY(check_outputs({}, {arguments.model.path}, {arguments.json == "-" ? "" : arguments.json, arguments.html}));
  TRY(settle_run_arguments(arguments.run, arguments.model.shapes));
  arguments.run.inputs.limits = TRY(limits_of(arguments.model));
  ImportedModel model = TRY(load_model(arguments.model));
  TRY(check_not_over_data({arguments.json, arguments.html}, *model.source));
  const std::vector<InputSpec> specs = input_specs(*model.graph);
  Result<Explanation> explanation = explain_model(std::move(model), arguments.compile);
  if (!explanation.ok()) return with_prefix(arguments.model.path + ": ", explanation.error());
  std::vector<std::string> made_up;
  const Result<std::vector<Datum>> inputs = collect_inputs(specs, arguments.run.inputs, made_up);
  if (inputs.ok()) measure_memory(*explanation, *inputs, arguments.run.threads, arguments.run.inputs.limits);
  else explanation->not_run = inputs.error().message;
  if (!arguments.json.empty()) TRY(write_json(arguments.json, *explanation));
  if (!arguments.html.empty()) TRY(write_file_atomically(arguments.html, explanation_html(*explanation)));
  if (arguments.json.empty() && arguments.html.empty()) fmt::print("{}", explanation_text(*explanation));
  return {};
}

}  // namespace

CLI::App* add_explain_command(CLI::App& app, std::function<int()>& run) {
  auto arguments = std::make_shared<ExplainArguments>();
  arguments->run.inputs.read_pb = read_pb_input;
  CLI::App* command = add_command(app, "explain", "Say where every node of a model went, and why.",
                                  "gannet explain resnet50.onnx --html report.html", run, [arguments] { return explain(*arguments); });
  add_model_arguments(*command, arguments->model);
  command->add_option("--input", arguments->run.inputs.files, "NAME=FILE as in gannet run, for what memory takes; random where none is given")
      ->type_name("NAME=FILE")->take_all()->expected(1)->allow_extra_args(false);
  command->add_option("--json", arguments->json, "write everything as JSON to FILE, - for standard output")->type_name("FILE");
  command->add_option("--html", arguments->html, "write a page with pictures to FILE")->type_name("FILE");
  add_threads(*command, arguments->run.threads);
  add_compile_arguments(*command, arguments->compile);
  return command;
}

}  // namespace gannet
