// `gannet tokenize`: the token ids of texts.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace gannet {

// Adds `tokenize`; parsing the command line sets `run` (command.h).
CLI::App* add_tokenize_command(CLI::App& app, std::function<int()>& run);

}  // namespace gannet
