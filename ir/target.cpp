#include "ir/target.h"

#include <algorithm>
#include <cstdlib>
#include <initializer_list>
#include <string_view>

namespace gannet {
namespace {

bool has_name(std::string_view name, std::string_view wanted) {
  return std::ranges::equal(name, wanted,
                            [](char a, char b) { return a == (b >= 'a' && b <= 'z' ? b - 'a' + 'A' : b); });
}

// What oneDNN was told to do without, by names that stand for less.
struct LibraryCap {
  bool integers = false, bf16 = false;
};
LibraryCap library_cap() {
  const char* wanted = std::getenv("ONEDNN_MAX_CPU_ISA");
  if (!wanted) wanted = std::getenv("DNNL_MAX_CPU_ISA");
  if (!wanted) return {};
  auto is_one_of = [&](std::initializer_list<std::string_view> names) {
    return std::ranges::any_of(names, [&](std::string_view name) { return has_name(name, wanted); });
  };
  const bool integers =
      is_one_of({"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_MIC", "AVX512_MIC_4OPS", "AVX512_CORE"});
  return {integers, integers || is_one_of({"AVX512_CORE_VNNI"})};
}

}  // namespace

Target host_target() {
  Target target;
  const char* variable = std::getenv("GANNET_ISA");
  const std::string_view wanted = variable ? variable : "";
  const std::string least = name_of(Isa::kV3), plain = name_of(Isa::kV4);
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512cd");
  target.isa = avx512 && wanted != least ? Isa::kV4 : Isa::kV3;
  if (target.isa == Isa::kV3 || wanted == plain) return target;
  const LibraryCap cap = library_cap();
  target.integer_products = __builtin_cpu_supports("avx512vnni") && !cap.integers;
  target.bf16_products = target.integer_products && __builtin_cpu_supports("avx512bf16") && !cap.bf16 &&
                         wanted != plain + "+vnni";
  return target;
}

std::string name_of(Isa isa) { return isa == Isa::kV4 ? "x86-64-v4" : "x86-64-v3"; }

}  // namespace gannet
