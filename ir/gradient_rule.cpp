#include "ir/gradient_rule.h"

#include <fmt/format.h>

#include <unordered_map>

#include "ir/ops/ops.h"
#include "ir/vjp.h"

namespace gannet {
namespace {

Status stop_gradient(VjpContext&) { return {}; }

struct RuleTable {
  std::unordered_map<std::string_view, GradientRule> by_name;

  RuleTable() {
#define DIFFERENTIABLE(Name, since) by_name.emplace(#Name, gradients::Name);
#include "ir/ops.def"
    for (const OpDef& op : all_ops()) {
      if (op.body) by_name.emplace(op.name, GradientRule{.vjp = elementwise_vjp});
      else if (!op.no_gradient.empty()) by_name.emplace(op.name, GradientRule{.vjp = stop_gradient});
      CHECK(by_name.contains(op.name) || op.decompose, "op {} does not answer for its gradient", op.name);
    }
  }
};

}  // namespace

const GradientRule& gradient_rule(const OpDef& op) {
  static const RuleTable table;
  static constexpr GradientRule kNone;
  const auto found = table.by_name.find(op.name);
  return found == table.by_name.end() ? kNone : found->second;
}

Status missing_gradient(VjpContext& context) {
  return unsupported(fmt::format("there is no gradient rule for {}", context.node().op().name));
}

}  // namespace gannet
