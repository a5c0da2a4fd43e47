#include "runtime/threads/quota.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string_view>

namespace gannet {
namespace {

// Cores that "quota period" allows; 0 where there is no quota.
int cores_of(double quota, double period) {
  if (!(quota > 0) || !(period > 0)) return 0;
  return static_cast<int>(std::clamp(std::ceil(quota / period), 1.0, 1e6));
}

// "max 100000" or "150000 100000".
int cores_of_v2(const std::string& folder) {
  std::ifstream file(folder + "/cpu.max");
  std::string quota;
  double period = 0;
  return file >> quota >> period && quota != "max" ? cores_of(std::strtod(quota.c_str(), nullptr), period) : 0;
}

// -1 in place of a quota where there is none.
int cores_of_v1(const std::string& folder) {
  double quota = 0, period = 0;
  const bool read = std::ifstream(folder + "/cpu.cfs_quota_us") >> quota && std::ifstream(folder + "/cpu.cfs_period_us") >> period;
  return read ? cores_of(quota, period) : 0;
}

// The least of what `cores` says of `group` and of the groups around it below `root`.
template <class Cores>
int least_around(const std::string& root, std::string group, const Cores& cores) {
  int least = 0;
  while (true) {
    if (const int here = cores(root + group); here > 0) least = least == 0 ? here : std::min(least, here);
    const size_t slash = group.rfind('/');
    if (slash == std::string::npos) return least;
    group.resize(slash);
  }
}

bool has_cpu(std::string_view controllers) {
  std::istringstream stream{std::string(controllers)};
  for (std::string controller; std::getline(stream, controller, ',');) {
    if (controller == "cpu") return true;
  }
  return false;
}

}  // namespace

int quota_cores(const std::string& groups, const std::string& root) {
  int least = 0;
  auto take = [&](int cores) {
    if (cores > 0) least = least == 0 ? cores : std::min(least, cores);
  };
  // Inside a container the group may be named as the host sees it, and its files stand at the top.
  take(cores_of_v2(root));
  for (const char* folder : {"/cpu", "/cpu,cpuacct"}) take(cores_of_v1(root + folder));
  std::ifstream file(groups);
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1), group = line.substr(second + 1);
    if (controllers.empty()) take(least_around(root, group, cores_of_v2));
    if (!has_cpu(controllers)) continue;
    take(least_around(root + "/" + controllers, group, cores_of_v1));
    take(least_around(root + "/cpu", group, cores_of_v1));
  }
  return least;
}

}  // namespace gannet
