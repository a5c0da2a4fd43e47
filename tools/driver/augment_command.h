// `gannet augment PICTURES --augment LINE --preview grid.png`: shows what an augmentation does.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace gannet {

// Adds `augment`; parsing the command line sets `run` (command.h).
CLI::App* add_augment_command(CLI::App& app, std::function<int()>& run);

}  // namespace gannet
