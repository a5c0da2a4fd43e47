// The share of the machine's cores that control groups leave to this process.
#pragma once

#include <string>

namespace gannet {

// Cores that the CPU quota of a process's control groups, or of one around them, allows, rounded up; 0 where there is no
// quota. `groups` is the file that lists them (/proc/self/cgroup), `root` where the hierarchies are mounted
// (/sys/fs/cgroup), of version 1 or 2.
int quota_cores(const std::string& groups, const std::string& root);

}  // namespace gannet
