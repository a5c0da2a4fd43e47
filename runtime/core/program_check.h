// Whether a Program that comes from a file can be run at all: a Session takes its indices as they are.
#pragma once

#include "ir/base/error.h"
#include "runtime/core/program.h"

namespace gannet {

// Every index is within what it indexes, every step has the operands that its call needs, and only memory that may be
// written is written. Not checked: whether the steps compute something meaningful, and what generated code does.
Status check_program(const Program& program);

}  // namespace gannet
