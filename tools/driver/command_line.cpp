#include "tools/driver/command_line.h"

#include <CLI/CLI.hpp>

#include "tools/deploy/program.h"
#include "tools/driver/apply_weights_command.h"
#include "tools/driver/augment_command.h"
#include "tools/driver/bench_command.h"
#include "tools/driver/check_command.h"
#include "tools/driver/compile_command.h"
#include "tools/driver/evaluate_command.h"
#include "tools/driver/explain_command.h"
#include "tools/driver/gan_command.h"
#include "tools/driver/generate_command.h"
#include "tools/driver/inspect_command.h"
#include "tools/driver/label_command.h"
#include "tools/driver/new_command.h"
#include "tools/driver/refit_command.h"
#include "tools/driver/run_command.h"
#include "tools/driver/tokenize_command.h"
#include "tools/driver/tune_command.h"

namespace gannet {

int run_command_line(int argc, char** argv) {
  CLI::App app("Compiles, runs and fine-tunes ONNX models on the CPU.", "gannet");
  app.require_subcommand(1);
  app.set_version_flag("--version", GANNET_VERSION, "Print the version and exit");
  std::function<int()> run;
  add_compile_command(app, run);
  add_run_command(app, run);
  add_inspect_command(app, run);
  add_explain_command(app, run);
  add_check_command(app, run);
  add_bench_command(app, run);
  add_tune_command(app, run);
  add_evaluate_command(app, run);
  add_apply_weights_command(app, run);
  add_refit_command(app, run);
  add_gan_command(app, run);
  add_generate_command(app, run);
  add_new_command(app, run);
  add_tokenize_command(app, run);
  add_augment_command(app, run);
  add_label_command(app, run);
  return parse_and_run(app, run, argc, argv);
}

}  // namespace gannet
