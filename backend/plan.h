// Buffers of a Program: which values share memory, and from which step to which each buffer lives. Where a buffer
// stands in the arena is decided when sizes are known (runtime/core/arena.h).
#pragma once

#include "backend/program_builder.h"

namespace gannet {

// Gives every value of the builder's program its buffer: views and parts join the buffer of what they alias, a step
// runs in place where it may and its operand ends there, results of the graph that nothing else shares are written
// straight into outputs, results of Eval steps are boxes. CopyCall steps are added where an output cannot share.
Status plan_buffers(ProgramBuilder& builder);

}  // namespace gannet
