// `gannet new ARCH -o FILE`: ONNX models with random weights from the templates of frontend/templates.h, and
// synthetic samples that they can learn.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace gannet {

// Adds `new` with a subcommand for each architecture. When the command line names it, parsing sets `run`,
// which must live as long as `app`; calling it does the work and gives the exit status.
CLI::App* add_new_command(CLI::App& app, std::function<int()>& run);

}  // namespace gannet
