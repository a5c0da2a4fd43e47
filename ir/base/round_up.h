// Quotients and multiples of integers of at least 0, rounded up.
#pragma once

#include <cstdint>

namespace gannet {

constexpr int64_t quotient_up(int64_t x, int64_t by) { return (x + by - 1) / by; }
constexpr int64_t rounded_up(int64_t x, int64_t multiple) { return quotient_up(x, multiple) * multiple; }

}  // namespace gannet
