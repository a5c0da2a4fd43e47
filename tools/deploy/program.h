// How a program of tools/ parses its command line and answers what it does not understand.
#pragma once

#include <functional>

#include "ir/base/error.h"

namespace CLI {
class App;
}

namespace gannet {

// Parses, which sets `run`, and calls it. Gives the exit status: that of `run`, or 1 with one message on standard error.
int parse_and_run(CLI::App& app, std::function<int()>& run, int argc, char** argv);

// An error where the command line that was parsed gives an empty name for a file or folder: it would count as not given.
Status check_path_flags(const CLI::App& app);

}  // namespace gannet
