#include "tools/deploy/run_command_line.h"

int main(int argc, char** argv) { return gannet::run_deployed_command_line(argc, argv); }
