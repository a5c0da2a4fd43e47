// `gannet evaluate`: how good a model is on labelled data.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace gannet {

CLI::App* add_evaluate_command(CLI::App& app, std::function<int()>& run);

}  // namespace gannet
