#include "tools/deploy/run_command_line.h"

#include <CLI/CLI.hpp>

#include "tools/deploy/arguments.h"
#include "tools/deploy/program.h"
#include "tools/deploy/run_artifact.h"

namespace gannet {

int run_deployed_command_line(int argc, char** argv) {
  CLI::App app("Runs a model that gannet compile wrote and prints its outputs.", "gannet-run");
  app.set_version_flag("--version", GANNET_VERSION, "Print the version and exit");
  app.footer("Example: gannet-run resnet50.gannet --input data=kitten.jpg --top 5");
  std::string path;
  RunArguments arguments;
  std::vector<std::string> shapes, limits;
  app.add_option("FILE", path, "the compiled model")->required();
  app.add_option("--shape", shapes, "NAME=1x3x224x224: the shape of an input made up or of raw elements (repeatable)")
      ->type_name("NAME=SHAPE")->take_all()->expected(1)->allow_extra_args(false);
  add_limit_argument(app, limits);
  add_run_arguments(app, arguments);
  std::function<int()> run = [&] {
    auto work = [&]() -> Status {
      TRY(settle_run_arguments(arguments, shapes));
      arguments.inputs.limits = default_limits();
      for (const std::string& assignment : limits) TRY(set_limit(arguments.inputs.limits, assignment));
      return run_artifact(path, arguments);
    };
    const Status status = work();
    return status.ok() ? kSuccess : report(status.error());
  };
  return parse_and_run(app, run, argc, argv);
}

}  // namespace gannet
