// `gannet gan`: adversarial training of two ONNX models.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace gannet {

// Adds the subcommand to `app`; parsing it sets `run` to the work to do, which returns the exit status.
CLI::App* add_gan_command(CLI::App& app, std::function<int()>& run);

}  // namespace gannet
