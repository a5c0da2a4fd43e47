// The functions of upgrade.def, and what several of them need.
#pragma once

#include <string_view>
#include <vector>

#include "frontend/upgrade.h"

namespace gannet::upgrades {

#define UPGRADE(domain, op, before, function) Status function(UpgradeContext& c);
#include "frontend/upgrade.def"
#undef UPGRADE

// Operand i; an error where it is absent.
Result<Value*> required(const UpgradeContext& c, size_t i);
// Moves the ints attribute `name`, where the node has it, to operand `i`.
Status ints_to_operand(UpgradeContext& c, std::string_view name, size_t i);
// `x` with `count` axes of extent 1 after its own, whose rank must be known.
Value* append_unit_axes(UpgradeContext& c, Value* x, int64_t count);
// `x` as the activation `name` with the parameters of fused ops; an error for one that is not known.
Result<Value*> activate(UpgradeContext& c, Value* x, const std::string& name,
                        const std::vector<float>& parameters);

}  // namespace gannet::upgrades
