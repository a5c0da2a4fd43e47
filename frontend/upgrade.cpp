#include "frontend/upgrade.h"

#include <fmt/format.h>

#include <algorithm>

#include "frontend/upgrades.h"

namespace gannet {

namespace {

constexpr Upgrade kUpgrades[] = {
#define UPGRADE(domain, op, before, function) {domain, op, before, upgrades::function},
#include "frontend/upgrade.def"
#undef UPGRADE
};

bool goes_before(const Upgrade& a, const Upgrade& b) {
  return a.domain != b.domain ? a.domain < b.domain : a.op < b.op;
}

}  // namespace

const Shape* UpgradeContext::shape(size_t i) const {
  const Value* value = operand(i);
  return value && value->type.is_tensor() && value->type.shape ? &*value->type.shape : nullptr;
}

std::optional<std::vector<int64_t>> UpgradeContext::ints(size_t i) const {
  const Value* value = operand(i);
  if (value == nullptr) return std::nullopt;
  if (value->contents && is_static(*value->contents)) return static_extents(*value->contents);
  return constant_ints(value);
}

void UpgradeContext::set_operand(size_t i, Value* value) {
  if (operands.size() <= i) operands.resize(i + 1, nullptr);
  operands[i] = value;
}

Value* UpgradeContext::number(double value, const Value* like) {
  DType dtype = like && like->type.dtype != DType::kUndefined ? like->type.dtype : DType::kF32;
  if (!is_float(dtype) && !is_int(dtype)) {
    b.fail(invalid_model(fmt::format("does not take elements of type {}", name_of(dtype))));
    return nullptr;
  }
  return b.constant(Tensor::scalar_of(dtype, value));
}

void UpgradeContext::set(size_t i, Value* value) {
  done_ = true;
  if (results_.size() <= i) results_.resize(i + 1, nullptr);
  results_[i] = value;
}

std::span<const Upgrade> upgrades_of(std::string_view domain, std::string_view op) {
  static const std::vector<Upgrade> sorted = [] {
    std::vector<Upgrade> table(std::begin(kUpgrades), std::end(kUpgrades));
    std::stable_sort(table.begin(), table.end(), goes_before);
    return table;
  }();
  Upgrade wanted{domain, op, 0, nullptr};
  auto [first, last] = std::equal_range(sorted.begin(), sorted.end(), wanted, goes_before);
  return {first, last};
}

Status upgrade(std::string_view domain, UpgradeContext& context) {
  for (const Upgrade& row : upgrades_of(domain, context.op)) {
    if (context.opset >= row.before || context.done()) continue;
    TRY(row.apply(context));
    TRY(Status(context.b.status()));
  }
  return {};
}

}  // namespace gannet
