#include "tools/driver/command_line.h"

int main(int argc, char** argv) { return gannet::run_command_line(argc, argv); }
