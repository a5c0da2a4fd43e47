#include "tools/driver/generate_command.h"

#include <CLI/CLI.hpp>
#include <memory>

#include "tools/driver/command.h"
#include "tools/driver/generate_arguments.h"
#include "tools/driver/latent_pictures.h"
#include "tools/driver/picture_conversion.h"
#include "tools/driver/row_flags.h"

namespace gannet {

namespace {

Status generate(GenerateArguments& arguments) {
  TRY(check_generate_flags(arguments));
  arguments.model.inference_form = true;
  return arguments.images.empty() ? make_latent_pictures(arguments) : convert_pictures(arguments);
}

}  // namespace

CLI::App* add_generate_command(CLI::App& app, std::function<int()>& run) {
  auto arguments = std::make_shared<GenerateArguments>();
  CLI::App* command =
      add_command(app, "generate", "Make pictures with a generator, or of pictures.",
                  "gannet generate generator.onnx -n 64 --seed 1 --grid grid.png", run, [&app, arguments] {
                    collect_given(*app.get_subcommand("generate"), arguments->given);
                    return generate(*arguments);
                  });
  add_generate_flags(*command, *arguments);
  add_help_all(*command);
  return command;
}

}  // namespace gannet
