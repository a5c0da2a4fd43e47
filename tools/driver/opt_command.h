// The command line of `gannet-opt`: a graph in, passes, a graph out.
#pragma once

namespace gannet {

// Parses and runs; gives the exit status: 0, or 1 with one message on standard error.
int run_opt_command_line(int argc, char** argv);

}  // namespace gannet
