#include "ir/named_target.h"

#include <algorithm>
#include <iterator>

namespace gannet {
namespace {

constexpr std::string_view kNames[] = {"x86-64-v4+bf16", "x86-64-v4+vnni", "x86-64-v4", "x86-64-v3"};

}  // namespace

std::span<const std::string_view> target_names() { return kNames; }

std::string_view target_name(const Target& target) {
  if (target.isa == Isa::kV3) return kNames[3];
  return target.bf16_products ? kNames[0] : target.integer_products ? kNames[1] : kNames[2];
}

std::optional<Target> find_target(std::string_view name) {
  const auto* found = std::ranges::find(kNames, name);
  if (found == std::end(kNames)) return std::nullopt;
  Target target;
  target.isa = found == kNames + 3 ? Isa::kV3 : Isa::kV4;
  target.bf16_products = found == kNames;
  target.integer_products = found <= kNames + 1;
  return target;
}

bool covers(const Target& machine, const Target& needed) {
  return machine.isa >= needed.isa && (machine.integer_products || !needed.integer_products) &&
         (machine.bf16_products || !needed.bf16_products);
}

}  // namespace gannet
