#include "tools/driver/compile_command.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <memory>

#include "runtime/core/artifact.h"
#include "tools/driver/command.h"
#include "tools/driver/compile.h"

namespace gannet {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

struct CompileArguments {
  ModelArguments model;
  CompileOptions compile;
  std::string output;
};

Status compile_model(const CompileArguments& arguments) {
  TRY(check_output_path(arguments.output));
  Clock::time_point start = Clock::now();
  ImportedModel model = TRY(load_model(arguments.model));
  const double read = seconds_since(start);
  start = Clock::now();
  Result<CompiledModel> compiled = compile_graph(*model.graph, arguments.compile);
  if (!compiled.ok()) return with_prefix(arguments.model.path + ": ", compiled.error());
  Program program = *compiled->program;
  program.metadata = model.info.metadata;
  const double compiling = seconds_since(start);
  start = Clock::now();
  TRY(write_artifact(arguments.output, program));
  const double written = seconds_since(start);
  for (const ProgramInput& input : program.inputs) fmt::print("input {}  {}\n", printable(input.name), to_string(input.type));
  for (const ProgramOutput& output : program.outputs) fmt::print("output {}  {}\n", printable(output.name), to_string(output.type));
  size_t kernels = 0, primitives = 0;
  for (const Step& step : program.steps) {
    kernels += std::holds_alternative<KernelCall>(step.call);
    primitives += std::holds_alternative<PrimitiveCall>(step.call);
  }
  std::error_code unknown;
  const auto bytes = std::filesystem::file_size(arguments.output, unknown);
  fmt::print("{} steps: {} generated kernels, {} library primitives\nwrote {}{}\n", program.steps.size(), kernels, primitives, arguments.output,
             unknown ? "" : fmt::format("  {}", bytes_text(static_cast<int64_t>(bytes))));
  fmt::print("read in {:.2f} s, compiled in {:.2f} s, written in {:.2f} s\n", read, compiling, written);
  return {};
}

}  // namespace

CLI::App* add_compile_command(CLI::App& app, std::function<int()>& run) {
  auto arguments = std::make_shared<CompileArguments>();
  CLI::App* command = add_command(app, "compile", "Compile a model into one file for gannet-run.",
                                  "gannet compile resnet50.onnx --batch -o resnet50.gannet", run,
                                  [arguments] { return compile_model(*arguments); });
  add_model_arguments(*command, arguments->model);
  command->add_option("-o,--output", arguments->output, "the file to write")->type_name("FILE")->required();
  add_compile_arguments(*command, arguments->compile);
  return command;
}

}  // namespace gannet
