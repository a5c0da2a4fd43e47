// The command line of `gannet`: all subcommands, and how it answers what it does not understand.
#pragma once

namespace gannet {

// Parses and runs; gives the exit status: 0, or 1 with one message on standard error.
int run_command_line(int argc, char** argv);

}  // namespace gannet
