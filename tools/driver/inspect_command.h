// `gannet inspect MODEL`: what a model is made of.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace gannet {

// Adds `inspect`; parsing the command line sets `run` (command.h).
CLI::App* add_inspect_command(CLI::App& app, std::function<int()>& run);

}  // namespace gannet
