#include "passes/weights_to_state.h"

#include <algorithm>
#include <map>

#include "ir/op.h"

namespace gannet {

bool matches_pattern(std::string_view pattern, std::string_view text) {
  size_t p = 0, t = 0, star = std::string_view::npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p, ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

namespace {

bool is_running_statistic(const Value& value) {
  constexpr int kMean = 3, kVariance = 4;
  return std::any_of(value.uses().begin(), value.uses().end(), [](const Use& use) {
    return use.node->op().name == "BatchNormalization" && (use.index == kMean || use.index == kVariance);
  });
}

bool is_weight(const Value& value) {
  const Tensor* tensor = value.constant();
  return tensor && value.origin && is_float(tensor->dtype()) && tensor->elements() > 1 && !value.uses().empty();
}

}  // namespace

Result<WeightReport> weights_to_state(Graph& graph, const WeightSelection& selection) {
  WeightReport report;
  std::vector<Value*> weights;
  for (const auto& node : graph.nodes()) {
    for (Value* output : node->outputs()) {
      if (output && is_weight(*output)) weights.push_back(output);
    }
  }
  std::map<int64_t, Value*> state_of;  // by offset of the tensor in the file
  for (Value* weight : weights) {
    const std::string& name = weight->origin->name;
    bool frozen = is_running_statistic(*weight) || std::any_of(selection.freeze.begin(), selection.freeze.end(), [&](const std::string& pattern) {
      return matches_pattern(pattern, name);
    });
    if (frozen) {
      report.frozen.push_back(name);
      continue;
    }
    auto [entry, is_new] = state_of.try_emplace(weight->origin->offset, nullptr);
    if (is_new) {
      entry->second = graph.add_state_value(weight->name, weight->type);
      graph.states.push_back({name, entry->second, nullptr, *weight->constant(), weight->origin});
      report.trained.push_back(name);
    }
    Node* constant = weight->producer();
    graph.replace_uses(weight, entry->second);
    graph.erase(constant);
  }
  if (graph.states.empty()) return invalid_input("the model has no weights to train: no floating point tensors of more than one element");
  return report;
}

}  // namespace gannet
