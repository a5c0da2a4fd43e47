// `gannet apply-weights MODEL.onnx WEIGHTS.safetensors -o FILE.onnx`.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace gannet {

CLI::App* add_apply_weights_command(CLI::App& app, std::function<int()>& run);

}  // namespace gannet
