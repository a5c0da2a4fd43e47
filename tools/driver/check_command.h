// `gannet check PATH...`: compares models with their reference results.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace gannet {

// Adds `check`; parsing the command line sets `run` (command.h).
CLI::App* add_check_command(CLI::App& app, std::function<int()>& run);

}  // namespace gannet
