// The flags that decide a training step, and how it is used where nobody says otherwise: what `gannet tune` and `gannet
// compile --train` have in common.
#pragma once

#include "tools/driver/tune_arguments.h"

namespace CLI {
class Option;
}

namespace gannet {

// Those that most people need, and all others.
void add_main_step_flags(CLI::App& command, TuneArguments& arguments);
void add_more_step_flags(CLI::App& command, TuneArguments& arguments);

// Makes an option take one value each time that it is given.
CLI::Option* repeatable(CLI::Option* option);

}  // namespace gannet
