#include "tools/driver/opt_command.h"

int main(int argc, char** argv) { return gannet::run_opt_command_line(argc, argv); }
