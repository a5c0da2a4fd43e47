// `gannet label votes.csv -o labels.csv`: labels from the votes of labelling functions.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace gannet {

// Adds `label`; parsing the command line sets `run` (command.h).
CLI::App* add_label_command(CLI::App& app, std::function<int()>& run);

}  // namespace gannet
