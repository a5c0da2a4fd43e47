// Memory in pages of 2 MiB where the system has them: filling a block of hundreds of megabytes then takes hundreds of
// page faults in place of a hundred thousand, and reading it fewer look-ups of addresses.
#pragma once

#include <cstddef>

namespace gannet {

// Asks for large pages for `size` bytes from `data` on, which nobody has touched yet. Small blocks stay as they are; a
// system without large pages ignores it.
void prefer_large_pages(void* data, size_t size);

}  // namespace gannet
