#include "tools/driver/rates_by_layer.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "passes/weights_to_state.h"

namespace gannet {

std::vector<RateRule> rates_by_layer(const Graph& model, std::span<const RateRule> given, double decay,
                                     const std::vector<std::string>& head, int64_t after) {
  std::unordered_map<const Value*, int64_t> layer_of;
  for (const State& state : model.states) layer_of[state.in] = -1;
  int64_t layers = 0;
  for (const auto& node : model.nodes()) {
    const auto operands = node->inputs();
    auto is_new = [&](const Value* operand) {
      const auto found = layer_of.find(operand);
      return found != layer_of.end() && found->second < 0;
    };
    layers += std::ranges::any_of(
        operands, [&](const Value* operand) { return is_new(operand) && operand->type.rank() > 1; });
    for (const Value* operand : operands) {
      if (is_new(operand)) layer_of[operand] = std::max<int64_t>(layers, 1);
    }
  }
  std::vector<RateRule> rules;
  for (const State& state : model.states) {
    RateRule rule{state.name, 1, 0};
    for (const RateRule& own : given) {
      if (!matches_pattern(own.pattern, state.name)) continue;
      rule.multiplier = own.multiplier;
      break;
    }
    const int64_t layer = layer_of[state.in];
    if (layer > 0)
      rule.multiplier *= std::pow(decay, static_cast<double>(std::max<int64_t>(layers - layer, 0)));
    if (std::ranges::find(head, state.name) == head.end()) rule.after = after;
    rules.push_back(std::move(rule));
  }
  return rules;
}

}  // namespace gannet
