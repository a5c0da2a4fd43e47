// CHECK(condition, "format", args...) ends the program when an invariant of Gannet's own code is broken.
// It is never reached by user input: that is what Result (error.h) is for.
#pragma once

#include <fmt/format.h>

#include <string>

namespace gannet {

[[noreturn]] void check_failed(const char* condition, const char* file, int line, const std::string& message);

}  // namespace gannet

#define CHECK(condition, ...)                                                                    \
  ((condition) ? static_cast<void>(0)                                                            \
               : ::gannet::check_failed(#condition, __FILE__, __LINE__, ::fmt::format(__VA_ARGS__)))
