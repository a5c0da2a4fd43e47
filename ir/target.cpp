#include "ir/target.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>

namespace gannet {
namespace {

// Whether oneDNN was told to do without the instructions, by names that stand for less.
bool integers_capped() {
  const char* wanted = std::getenv("ONEDNN_MAX_CPU_ISA");
  if (!wanted) wanted = std::getenv("DNNL_MAX_CPU_ISA");
  if (!wanted) return false;
  constexpr std::string_view kLess[] = {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_MIC", "AVX512_MIC_4OPS", "AVX512_CORE"};
  return std::ranges::any_of(kLess, [&](std::string_view name) {
    return std::ranges::equal(name, std::string_view(wanted), [](char a, char b) { return a == (b >= 'a' && b <= 'z' ? b - 'a' + 'A' : b); });
  });
}

}  // namespace

Target host_target() {
  Target target;
  const char* wanted = std::getenv("GANNET_ISA");
  const bool capped = wanted != nullptr && std::string_view(wanted) == name_of(Isa::kV3);
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512cd");
  target.isa = avx512 && !capped ? Isa::kV4 : Isa::kV3;
  target.integer_products = target.isa == Isa::kV4 && __builtin_cpu_supports("avx512vnni") && !integers_capped();
  return target;
}

std::string name_of(Isa isa) { return isa == Isa::kV4 ? "x86-64-v4" : "x86-64-v3"; }

}  // namespace gannet
