// `gannet refit FILE.gannet TUNED.onnx -o OUT.gannet`.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace gannet {

CLI::App* add_refit_command(CLI::App& app, std::function<int()>& run);

}  // namespace gannet
