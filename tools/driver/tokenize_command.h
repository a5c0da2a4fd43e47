// `gannet tokenize`: the token ids of texts.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace gannet {

// Adds `tokenize`; parsing the command line sets `run` (command.h).
CLI::App* add_tokenize_command(CLI::App& app, std::function<int()>& run);

}  // namespace gannet
