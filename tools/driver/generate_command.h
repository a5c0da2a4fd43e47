// `gannet generate`: pictures from a generator, or from pictures.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace gannet {

// Adds `generate`; parsing the command line sets `run` (command.h).
CLI::App* add_generate_command(CLI::App& app, std::function<int()>& run);

}  // namespace gannet
