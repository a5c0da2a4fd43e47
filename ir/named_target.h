// Targets by name, as --target takes them and compiled files hold them: "x86-64-v3", "x86-64-v4", "x86-64-v4+vnni", which
// has exact sums of products of 8 bits as well, and "x86-64-v4+bf16", which also has products of bf16.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "ir/target.h"

namespace gannet {

// From the one that asks for most to the one that asks for least.
std::span<const std::string_view> target_names();
std::string_view target_name(const Target& target);
// Nothing for a name that is none of target_names().
std::optional<Target> find_target(std::string_view name);
// Whether `machine` has all that code for `needed` uses.
bool covers(const Target& machine, const Target& needed);

}  // namespace gannet
