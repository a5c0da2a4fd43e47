// What this process has taken of the machine's memory, in bytes.
#pragma once

#include <cstdint>

namespace gannet {

// Most at any time so far.
int64_t peak_memory();
// Now; peak_memory() where the system does not tell.
int64_t present_memory();

}  // namespace gannet
