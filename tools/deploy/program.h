// How a program of tools/ parses its command line and answers what it does not understand.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace gannet {

// Parses, which sets `run`, and calls it. Gives the exit status: that of `run`, or 1 with one message on standard error.
int parse_and_run(CLI::App& app, std::function<int()>& run, int argc, char** argv);

}  // namespace gannet
