#include "tools/driver/compile_command.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <memory>

#include "frontend/patch.h"
#include "tools/deploy/output_path.h"
#include "tools/driver/artifact_summary.h"
#include "tools/driver/build_artifact.h"
#include "tools/driver/build_training.h"
#include "tools/driver/command.h"
#include "tools/driver/compilation.h"
#include "tools/driver/row_flags.h"
#include "tools/driver/training_flags.h"

namespace gannet {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

struct CompileArguments {
  ModelArguments model;
  CompileOptions compile;
  std::string output;
  std::string targets = "native";
  TrainingFlags training;
  std::vector<std::string> step_flags;  // of the command line, for the file
};

// Leaves in `model` what is trained: the file with the new head, and batch normalizations in the form for inference, where the
// flags or the model ask for that.
Status prepare_training(CompileArguments& arguments, const CompileOptions& options, ImportedModel& model) {
  TuneArguments& training = arguments.training.arguments;
  training.model = arguments.model;
  const TuneModel trained = TRY(model_to_train(training, options));
  if (const size_t count = trained.changed_normalizations.size(); count > 0) {
    fmt::print("{}: {} batch normalizations are in training mode; the compiled file has them in the form for inference\n",
               printable(arguments.model.path), count);
  }
  if (trained.head) arguments.step_flags = flags_behind_head(arguments.step_flags, trained.head->features);
  const bool edited = trained.head || !trained.changed_normalizations.empty();
  if (!edited && !arguments.training.model_file.empty()) return invalid_input("--write-model: the model is the one that there is");
  if (!edited) return {};
  const ImportOptions reading = TRY(import_options(arguments.model));
  model = TRY(import_model(trained.imported.source, reading));
  const std::string& path = arguments.training.model_file;
  if (!path.empty()) return write_patched_model(*model.source, {}, path, reading.limits);
  if (trained.head)
    fmt::print("the new head is in the compiled file only: --write-model writes the ONNX file for gannet apply-weights\n");
  return {};
}

Compilation compilation_for(const CompileArguments& arguments, const Graph& graph) {
  Compilation compilation = compilation_of(graph, arguments.model, arguments.compile);
  compilation.trains = arguments.training.wanted;
  compilation.training = arguments.step_flags;
  return compilation;
}

Status compile_model(CompileArguments arguments) {
  const TrainingFlags& training = arguments.training;
  TRY(check_outputs({arguments.output}, {arguments.model.path}, {training.model_file}));
  const std::vector<Target> targets = TRY(parse_targets(arguments.targets));
  for (const Target& target : targets) {
    CompileOptions options = arguments.compile;
    options.target = target;
    if (const std::string note = rounding_note(options); !note.empty()) fmt::print(stderr, "note: {}\n", note);
  }
  Clock::time_point start = Clock::now();
  ImportedModel model = TRY(load_model(arguments.model));
  TRY(check_not_over_data({arguments.output}, *model.source));
  if (!training.model_file.empty()) TRY(check_new_model(training.model_file, *model.source, arguments.model.path));
  const double read = seconds_since(start);
  start = Clock::now();
  if (training.wanted) TRY(prepare_training(arguments, arguments.compile, model));
  Result<Artifact> compiled = build_artifact(model, targets, arguments.compile, training.wanted ? &training.arguments : nullptr);
  if (!compiled.ok()) return with_prefix(arguments.model.path + ": ", compiled.error());
  compiled->compilation = to_bytes(compilation_for(arguments, *model.graph));
  const double compiling = seconds_since(start);
  start = Clock::now();
  TRY(write_artifact(arguments.output, *compiled));
  const double written = seconds_since(start);
  fmt::print("{}{}", signature_text(*compiled->programs.front().program), programs_text(*compiled) + training_text(*compiled));
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
                  [&app, arguments] {
                    const CLI::App& given = *app.get_subcommand("compile");
                    collect_given(given, arguments->training.arguments.given);
                    arguments->step_flags = given_step_flags(given, arguments->training);
                    return compile_model(*arguments);
                  });
  add_model_arguments(*command, arguments->model);
  command->add_option("-o,--output", arguments->output, "the file to write")->type_name("FILE")->required();
  command
      ->add_option(
          "--target", arguments->targets,
          "native, x86-64-v3, x86-64-v4, x86-64-v4+vnni, x86-64-v4+bf16, or several with commas: the machines it is for")
      ->type_name("LIST")
      ->capture_default_str();
  add_compile_arguments(*command, arguments->compile, DTypeNote::kLater);
  add_training_flags(*command, arguments->training);
  return command;
}

}  // namespace gannet
