#include "ir/target.h"

#include <cstdlib>
#include <string_view>

namespace gannet {

Target host_target() {
  Target target;
  const char* wanted = std::getenv("GANNET_ISA");
  const bool capped = wanted != nullptr && std::string_view(wanted) == name_of(Isa::kV3);
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512cd");
  target.isa = avx512 && !capped ? Isa::kV4 : Isa::kV3;
  return target;
}

std::string name_of(Isa isa) { return isa == Isa::kV4 ? "x86-64-v4" : "x86-64-v3"; }

}  // namespace gannet
