#include "ir/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace gannet {

void check_failed(const char* condition, const char* file, int line, const std::string& message) {
  std::fprintf(stderr, "%s:%d: internal error: %s is false: %s\n", file, line, condition, message.c_str());
  std::abort();
}

}  // namespace gannet
