#include "tools/driver/process_memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <fstream>

namespace gannet {

int64_t peak_memory() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

int64_t present_memory() {
  std::ifstream file("/proc/self/statm");
  int64_t all = 0, resident = 0;
  if (!(file >> all >> resident)) return peak_memory();
  return resident * ::sysconf(_SC_PAGESIZE);
}

}  // namespace gannet
