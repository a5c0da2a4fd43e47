#include "passes/twin_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "ir/op.h"
#include "passes/copy_node.h"

namespace gannet {

namespace {

constexpr int64_t kTwinStreams = int64_t{1} << 32;

void add_node_of_twin(Graph& graph, const Node& node, ValueCopies& copies) {
  std::vector<Value*> operands;
  for (Value* operand : node.inputs()) {
    const auto copy = copies.find(operand);
    operands.push_back(copy == copies.end() ? operand : copy->second);
  }
  Node* made = copy_node(graph, node, std::move(operands), copies, {std::string(kTwinPrefix)});
  if (node.op().name == "SeededDropout") made->attrs.set("stream", node.attrs.integer("stream") + kTwinStreams);
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
  ValueCopies copies;
  for (size_t i = 0; i < count; ++i) {
    TRY(check_initial(graph.states[i], initial[i]));
    const State& state = graph.states[i];
    const std::string name = std::string(kTwinPrefix) + state.name;
    Value* own = graph.add_state_value(name, state.in->type);
    own->contents = state.in->contents;
    copies[state.in] = own;
  }
  std::vector<const Node*> nodes;
  for (const auto& node : graph.nodes()) nodes.push_back(node.get());
  for (const Node* node : nodes) {
    const bool depends = std::ranges::any_of(node->inputs(), [&](const Value* operand) { return copies.contains(operand); });
    if (depends || node->op().name == "SeededDropout") add_node_of_twin(graph, *node, copies);
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
