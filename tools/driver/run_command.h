// `gannet run MODEL`: one inference, with its results on the screen and in files.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace gannet {

// Adds `run`; parsing the command line sets `run` (command.h).
CLI::App* add_run_command(CLI::App& app, std::function<int()>& run);

}  // namespace gannet
