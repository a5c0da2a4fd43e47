// `gannet compile MODEL -o FILE`: a model as one file that needs no compiler.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace gannet {

// Adds `compile`; parsing the command line sets `run` (command.h).
CLI::App* add_compile_command(CLI::App& app, std::function<int()>& run);

}  // namespace gannet
