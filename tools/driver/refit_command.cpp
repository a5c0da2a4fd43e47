#include "tools/driver/refit_command.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "tools/deploy/output_path.h"
#include "tools/driver/command.h"
#include "tools/driver/refit.h"

namespace gannet {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct RefitArguments {
  std::string compiled, model, output;
  std::vector<std::string> limits;
};

Status refit_file(const RefitArguments& arguments) {
  const std::string& output = arguments.output.empty() ? arguments.compiled : arguments.output;
  TRY(check_outputs({output}, {arguments.model}));
  Clock::time_point start = Clock::now();
  const Artifact made = TRY(read_whole_artifact(arguments.compiled));
  const Result<Compilation> before = parse_compilation(made.compilation);
  if (!before.ok()) return with_prefix(arguments.compiled + ": ", before.error());
  const ModelArguments reading = model_arguments_like(*before, arguments.model, arguments.limits);
  const ImportedModel model = TRY(load_model(reading));
  TRY(check_not_over_data({output}, *model.source));
  const double read = seconds_since(start);
  start = Clock::now();
  const Result<Artifact> fitted = refit(made, *before, model, reading);
  if (!fitted.ok())
    return with_prefix(fmt::format("{}, for {}: ", arguments.model, arguments.compiled), fitted.error());
  const double fitting = seconds_since(start);
  start = Clock::now();
  TRY(write_artifact(output, *fitted));
  fmt::print("{} constants from {}\nwrote {}\n", fitted->programs.front().program->constants.size(),
             arguments.model, output);
  fmt::print("read in {:.3f} s, refitted in {:.3f} s, written in {:.3f} s\n", read, fitting,
             seconds_since(start));
  return {};
}

}  // namespace

CLI::App* add_refit_command(CLI::App& app, std::function<int()>& run) {
  auto arguments = std::make_shared<RefitArguments>();
  CLI::App* command = add_command(
      app, "refit",
      "Put the weights of a tuned model into a compiled file, with the machine code that is there.",
      "gannet refit model.gannet tuned.onnx -o tuned.gannet", run,
      [arguments] { return refit_file(*arguments); });
  command->add_option("FILE", arguments->compiled, "the compiled model")->required();
  command
      ->add_option("MODEL", arguments->model, "the ONNX file with the new weights, of the same architecture")
      ->required();
  command->add_option("-o,--output", arguments->output, "the file to write [FILE]")->type_name("OUT");
  add_limit_argument(*command, arguments->limits);
  return command;
}

}  // namespace gannet
