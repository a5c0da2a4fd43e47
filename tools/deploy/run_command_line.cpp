#include "tools/deploy/run_command_line.h"

#include <CLI/CLI.hpp>

#include "tools/deploy/arguments.h"
#include "tools/deploy/program.h"
#include "tools/deploy/run_artifact.h"
#include "tools/deploy/run_tuned.h"
#include "tools/deploy/tune_artifact.h"

namespace gannet {

int run_deployed_command_line(int argc, char** argv) {
  CLI::App app("Runs a model that gannet compile wrote and prints its outputs, or fine-tunes it.", "gannet-run");
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
  TuneArtifactArguments tuning;
  const CLI::Option* tune = add_tune_artifact_arguments(app, tuning);
  app.get_option("--output")->description("folder for the outputs; with --tune the file for the weights")->type_name("PATH");
  std::string weights;
  app.add_option("--weights", weights, "run with the weights that --tune has written, in place of the file's own")
      ->type_name("FILE")->group(tune->get_group())->excludes(app.get_option("--tune"));
  for (const char* flag : {"--input", "--shape", "--top", "--labels"}) app.get_option("--tune")->excludes(app.get_option(flag));
  std::function<int()> run = [&] {
    auto work = [&]() -> Status {
      TRY(settle_run_arguments(arguments, shapes));
      arguments.inputs.limits = default_limits();
      for (const std::string& assignment : limits) TRY(set_limit(arguments.inputs.limits, assignment));
      if (tune->count() > 0) {
        tuning.path = path;
        tuning.output = arguments.output_folder;
        tuning.seed = arguments.inputs.seed;
        tuning.threads = arguments.threads;
        tuning.limits = arguments.inputs.limits;
        tuning.image = arguments.image;
        return tune_artifact(tuning);
      }
      return app.get_option("--weights")->count() == 0 ? run_artifact(path, arguments) : run_tuned(path, weights, arguments);
    };
    const Status status = work();
    return status.ok() ? kSuccess : report(status.error());
  };
  return parse_and_run(app, run, argc, argv);
}

}  // namespace gannet
