#include "passes/twin_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "ir/op.h"

namespace gannet {

namespace {

using Copies = std::unordered_map<const Value*, Value*>;

constexpr int64_t kTwinStreams = int64_t{1} << 32;

Attributes copied_attributes(const Node& node) {
  Attributes result = node.attrs;
  for (const auto& [name, attr] : node.attrs.entries()) {
    const auto* graph = std::get_if<std::shared_ptr<Graph>>(&attr);
    if (graph && *graph) result.set(name, std::shared_ptr<Graph>((*graph)->clone()));
  }
  if (node.op().name == "SeededDropout") result.set("stream", node.attrs.integer("stream") + kTwinStreams);
  return result;
}

void describe_copy(const Value* original, Value* made, Copies& copies) {
  made->type = original->type;
  made->contents = original->contents;
  copies[original] = made;
}

void copy_node(Graph& graph, const Node& node, Copies& copies) {
  std::vector<Value*> operands;
  for (Value* operand : node.inputs()) {
    const auto copy = copies.find(operand);
    operands.push_back(copy == copies.end() ? operand : copy->second);
  }
  std::vector<std::string> names;
  for (const Value* output : node.outputs()) names.push_back(output ? output->name : std::string());
  Node* made = graph.add_node(node.op(), std::move(operands), copied_attributes(node), names.size(), nullptr, names);
  if (!node.name.empty()) made->name = std::string(kTwinPrefix) + node.name;
  made->set_sources(node.sources());
  for (size_t i = 0; i < names.size(); ++i) {
    if (node.output(i))
      describe_copy(node.output(i), made->output(i), copies);
    else
      graph.drop_output(made, i);
  }
}

Status check_initial(const State& state, const Tensor& initial) {
  if (initial.dtype() == state.initial.dtype() && initial.extents() == state.initial.extents()) return {};
  return invalid_input(fmt::format("'{}' is {} in the first model and {} in the second", state.name,
                                   type_string(state.initial), type_string(initial)));
}

}  // namespace

std::string_view model_state_name(std::string_view state) {
  return state.starts_with(kTwinPrefix) ? state.substr(kTwinPrefix.size()) : state;
}

Result<Value*> add_twin(Graph& graph, Value* value, std::span<const Tensor> initial) {
  const size_t count = graph.states.size();
  CHECK(initial.size() == count, "{} tensors for {} states", initial.size(), count);
  Copies copies;
  for (size_t i = 0; i < count; ++i) {
    TRY(check_initial(graph.states[i], initial[i]));
    const State& state = graph.states[i];
    const std::string name = std::string(kTwinPrefix) + state.name;
    describe_copy(state.in, graph.add_state_value(name, state.in->type), copies);
  }
  std::vector<const Node*> nodes;
  for (const auto& node : graph.nodes()) nodes.push_back(node.get());
  for (const Node* node : nodes) {
    const bool depends = std::ranges::any_of(node->inputs(), [&](const Value* operand) { return copies.contains(operand); });
    if (depends || node->op().name == "SeededDropout") copy_node(graph, *node, copies);
  }
  for (size_t i = 0; i < count; ++i) {
    const State& state = graph.states[i];
    Value* out = state.out ? copies.at(state.out) : nullptr;
    graph.states.push_back({std::string(kTwinPrefix) + state.name, copies.at(state.in), out, initial[i], {}});
  }
  const auto found = copies.find(value);
  return found == copies.end() ? value : found->second;
}

}  // namespace gannet
