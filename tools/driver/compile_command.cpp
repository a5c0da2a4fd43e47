#include "tools/driver/compile_command.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <memory>

#include "tools/driver/artifact_summary.h"
#include "tools/driver/build_artifact.h"
#include "tools/driver/command.h"
#include "tools/driver/compilation.h"

namespace gannet {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

struct CompileArguments {
  ModelArguments model;
  CompileOptions compile;
  std::string output;
  std::string targets = "native";
};

Status compile_model(const CompileArguments& arguments) {
  TRY(check_output_path(arguments.output));
  const std::vector<Target> targets = TRY(parse_targets(arguments.targets));
  for (const Target& target : targets) {
    CompileOptions options = arguments.compile;
    options.target = target;
    if (const std::string note = rounding_note(options); !note.empty()) fmt::print(stderr, "note: {}\n", note);
  }
  Clock::time_point start = Clock::now();
  ImportedModel model = TRY(load_model(arguments.model));
  const double read = seconds_since(start);
  start = Clock::now();
  Result<Artifact> compiled = build_artifact(model, targets, arguments.compile);
  if (!compiled.ok()) return with_prefix(arguments.model.path + ": ", compiled.error());
  compiled->compilation = to_bytes(compilation_of(*model.graph, arguments.model, arguments.compile));
  const double compiling = seconds_since(start);
  start = Clock::now();
  TRY(write_artifact(arguments.output, *compiled));
  const double written = seconds_since(start);
  fmt::print("{}{}", signature_text(*compiled->programs.front().program), programs_text(*compiled));
  std::error_code unknown;
  const auto bytes = std::filesystem::file_size(arguments.output, unknown);
  fmt::print("wrote {}{}\n", arguments.output,
             unknown ? "" : fmt::format("  {}", bytes_text(static_cast<int64_t>(bytes))));
  fmt::print("read in {:.2f} s, compiled in {:.2f} s, written in {:.2f} s\n", read, compiling, written);
  return {};
}

}  // namespace

CLI::App* add_compile_command(CLI::App& app, std::function<int()>& run) {
  auto arguments = std::make_shared<CompileArguments>();
  CLI::App* command =
      add_command(app, "compile", "Compile a model into one file for gannet-run.",
                  "gannet compile resnet50.onnx --batch --target x86-64-v3,x86-64-v4 -o resnet50.gannet", run,
                  [arguments] { return compile_model(*arguments); });
  add_model_arguments(*command, arguments->model);
  command->add_option("-o,--output", arguments->output, "the file to write")->type_name("FILE")->required();
  command
      ->add_option(
          "--target", arguments->targets,
          "native, x86-64-v3, x86-64-v4, x86-64-v4+vnni, x86-64-v4+bf16, or several with commas: the machines it is for")
      ->type_name("LIST")
      ->capture_default_str();
  add_compile_arguments(*command, arguments->compile, DTypeNote::kLater);
  return command;
}

}  // namespace gannet
