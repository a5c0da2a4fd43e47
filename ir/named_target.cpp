#include "ir/named_target.h"

#include <algorithm>
#include <iterator>

namespace gannet {
namespace {

constexpr std::string_view kNames[] = {"x86-64-v4+vnni", "x86-64-v4", "x86-64-v3"};

}  // namespace

std::span<const std::string_view> target_names() { return kNames; }

std::string_view target_name(const Target& target) {
  if (target.isa == Isa::kV3) return kNames[2];
  return target.integer_products ? kNames[0] : kNames[1];
}

std::optional<Target> find_target(std::string_view name) {
  if (std::ranges::find(kNames, name) == std::end(kNames)) return std::nullopt;
  Target target;
  target.isa = name == kNames[2] ? Isa::kV3 : Isa::kV4;
  target.integer_products = name == kNames[0];
  return target;
}

bool covers(const Target& machine, const Target& needed) {
  return machine.isa >= needed.isa && (machine.integer_products || !needed.integer_products);
}

}  // namespace gannet
