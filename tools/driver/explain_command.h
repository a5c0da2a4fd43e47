// gannet explain: where every node of a model went, and why.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace gannet {

CLI::App* add_explain_command(CLI::App& app, std::function<int()>& run);

}  // namespace gannet
