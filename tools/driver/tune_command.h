// `gannet tune MODEL --data FILE.npz -o OUT.onnx`: trains a model's weights on arrays and writes the user's
// own file with the new weights.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace gannet {

// Adds `tune`; parsing the command line sets `run` (command.h).
CLI::App* add_tune_command(CLI::App& app, std::function<int()>& run);

}  // namespace gannet
