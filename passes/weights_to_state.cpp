#include "passes/weights_to_state.h"

#include <algorithm>
#include <map>
#include <set>

#include "ir/gradient_rule.h"
#include "ir/op.h"
#include "passes/lift_weights.h"
#include "passes/quantized_weights.h"

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

// An operand by which a layer is meant to learn, such as the bias of a layer of one unit.
bool is_parameter(const Use& use) {
  constexpr std::string_view kLayers[] = {"Gemm", "Conv", "ConvTranspose", "PRelu", "BatchNormalization", "InstanceNormalization",
                                          "LayerNormalization", "GroupNormalization", "RMSNormalization"};
  const std::string_view op = use.node->op().name;
  if (op == "MatMul") return true;
  if (op != "Add") return use.index > 0 && std::ranges::find(kLayers, op) != std::end(kLayers);
  const Value* other = use.node->input(use.index == 0 ? 1 : 0);
  return other && other->producer() && other->producer()->op().name == "MatMul";
}

// The distance of two codes, which stays as it is.
bool is_scale_of_codes(const Use& use) {
  return (use.node->op().name == "QuantizeLinear" || use.node->op().name == "DequantizeLinear") && use.index == 1;
}

// Scales and regions of a Resize: numbers that say how large its result is.
bool is_extent(const Use& use) { return use.node->op().name == "Resize" && use.index > 0; }

// One element is as likely an epsilon or an exponent, unless its place says otherwise.
bool is_weight(const Value& value) {
  const Tensor* tensor = value.constant();
  if (!tensor || !value.origin || !is_float(tensor->dtype()) || value.uses().empty()) return false;
  if (std::ranges::any_of(value.uses(), is_scale_of_codes) || std::ranges::any_of(value.uses(), is_extent)) return false;
  return tensor->elements() > 1 || (tensor->elements() == 1 && std::ranges::any_of(value.uses(), is_parameter));
}

// Weights in bodies that a gradient passes come out of them. A lifted weight is one by its place inside; outside it is
// known by its origin.
void lift_from_bodies(Graph& graph, std::set<const Value*>& lifted) {
  std::vector<Node*> owners;
  for (const auto& node : graph.nodes()) {
    bool has_body = false;
    for_each_subgraph(*node, [&](Graph&) { has_body = true; });
    if (has_body && node->op().name != "Fused" && gradient_rule(node->op()).vjp != missing_gradient) owners.push_back(node.get());
  }
  for (Node* owner : owners) {
    size_t before = owner->inputs().size();
    lift_weights(*owner, [](const Value& value) { return is_weight(value) && !is_running_statistic(value); });
    for (Value* operand : owner->inputs().subspan(std::min(before, owner->inputs().size()))) lifted.insert(operand);
  }
}

bool any_weight_in_subgraphs(const Graph& graph) {
  bool found = false;
  for (const auto& node : graph.nodes()) {
    for_each_subgraph(*node, [&](Graph& subgraph) {
      for (const auto& inner : subgraph.nodes()) {
        for (const Value* output : inner->outputs()) found |= output && is_weight(*output);
      }
      found |= any_weight_in_subgraphs(subgraph);
    });
  }
  return found;
}

Error nothing_to_train(const Graph& graph, const WeightReport& report) {
  if (!report.frozen.empty()) return invalid_input(fmt::format("all {} weights are frozen, none is left to train", report.frozen.size()));
  if (!report.integers.empty()) {
    return invalid_input(
        fmt::format("the weights of the model are integers ({} tensors behind DequantizeLinear) whose scales are not constant or which "
                    "others read as well; train the floating point model and quantize it again",
                    report.integers.size()));
  }
  return invalid_input(fmt::format("the model has no weights to train: no floating point tensors of more than one element{}",
                                   any_weight_in_subgraphs(graph) ? " outside of the bodies of If, Loop and Scan, which are not trained" : ""));
}

}  // namespace

std::string unused_name(std::set<std::string>& names, const std::string& wanted) {
  std::string name = wanted;
  for (int number = 2; !names.insert(name).second; ++number) name = fmt::format("{}#{}", wanted, number);
  return name;
}

Result<WeightReport> weights_to_state(Graph& graph, const WeightSelection& selection) {
  WeightReport report;
  std::vector<QuantizedWeight> opened = TRY(open_quantized_weights(graph));
  report.integers = names_of_codes(graph);
  std::set<const Value*> lifted;
  lift_from_bodies(graph, lifted);
  std::vector<Value*> weights;
  std::set<std::string> names;
  for (const State& state : graph.states) names.insert(state.name);
  for (const auto& node : graph.nodes()) {
    for (Value* output : node->outputs()) {
      if (output && (is_weight(*output) || lifted.contains(output))) weights.push_back(output);
    }
  }
  std::map<std::pair<int64_t, std::string>, const State*> state_of;  // by place and name of the tensor in the file
  graph.states.reserve(graph.states.size() + weights.size());        // state_of points into it
  for (Value* weight : weights) {
    const std::string& name = weight->origin->name;
    bool statistic = is_running_statistic(*weight);
    bool frozen = (statistic && !selection.running_statistics) ||
                  std::any_of(selection.freeze.begin(), selection.freeze.end(),
                              [&](const std::string& pattern) { return matches_pattern(pattern, name); });
    const State*& state = state_of[{weight->origin->offset, name}];
    // Import may have given the second use another form, which an update of the first would not reach.
    if (state) frozen |= !state->initial.identical(*weight->constant());
    if (frozen) {
      report.frozen.push_back(name);
      continue;
    }
    std::string value_name;
    if (state == nullptr) {
      value_name = weight->name;
      Value* in = graph.add_state_value("", weight->type);
      graph.states.push_back({unused_name(names, name), in, nullptr, *weight->constant(), weight->origin});
      state = &graph.states.back();
      (statistic ? report.running_statistics : report.trained).push_back(state->name);
    }
    Node* constant = weight->producer();
    graph.replace_uses(weight, state->in);
    graph.erase(constant);
    if (!value_name.empty()) graph.rename(state->in, value_name);
  }
  if (report.trained.empty()) return nothing_to_train(graph, report);
  for (QuantizedWeight& weight : opened) {
    const auto found = state_of.find({weight.origin.offset, weight.origin.name});
    if (found == state_of.end() || !found->second) continue;
    weight.state = found->second->name;
    report.quantized.push_back(std::move(weight));
  }
  return report;
}

}  // namespace gannet
