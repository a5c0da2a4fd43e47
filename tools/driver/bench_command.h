// `gannet bench MODEL`: how fast a model runs and what it takes.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace gannet {

// Adds `bench`; parsing the command line sets `run` (command.h).
CLI::App* add_bench_command(CLI::App& app, std::function<int()>& run);

}  // namespace gannet
