// The command line of `gannet-run`: a compiled model, without the compiler.
#pragma once

namespace gannet {

// Parses and runs; gives the exit status: 0, or 1 with one message on standard error.
int run_deployed_command_line(int argc, char** argv);

}  // namespace gannet
