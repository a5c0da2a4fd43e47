#include "passes/averaged_instance.h"

#include <algorithm>
#include <set>

#include "ir/infer.h"
#include "ir/op.h"
#include "passes/copy_node.h"

namespace gannet {

namespace {

constexpr std::string_view kAverage = "ema/";

void collect_symbols(const Type& type, std::vector<std::string>& names) {
  if (!type.is_tensor() || !type.shape) return;
  for (const Dim& dim : *type.shape) dim.collect_symbols(names);
}

// An error names a node that finds out a shape while it runs.
Status check_shapes(const Graph& graph) {
  std::vector<std::string> bound;
  for (const Value* input : graph.inputs()) collect_symbols(input->type, bound);
  for (const auto& node : graph.nodes()) {
    for (const Value* output : node->outputs()) {
      if (output == nullptr) continue;
      std::vector<std::string> names;
      collect_symbols(output->type, names);
      for (const std::string& name : names) {
        if (std::ranges::find(bound, name) == bound.end())
          return unsupported(fmt::format(
              "{}its shape depends on data, so there is no teacher beside the model", describe(*node)));
      }
    }
  }
  return {};
}

class Copier {
 public:
  Copier(Graph& graph, const std::vector<const Value*>& shared) : graph_(graph) {
    const std::vector<Value*> inputs = graph.inputs();
    for (Value* input : inputs) {
      const bool is_shared = std::ranges::find(shared, input) != shared.end();
      copies_[input] =
          is_shared ? input : graph.add_input(fmt::format("teacher/{}", input->name), input->type);
      if (!is_shared) copies_[input]->contents = input->contents;
    }
    for (const State& state : graph.states) {
      copies_[state.in] =
          graph.add_state_value(fmt::format("{}{}", kAverage, state.in->name), state.in->type);
    }
    for (const auto& node : graph.nodes()) {
      const bool drops = node->op().name == "SeededDropout";
      if (drops) streams_ = std::max(streams_, node->attrs.integer("stream") + 1);
    }
  }

  Value* of(Value* value) const { return value ? copies_.at(value) : nullptr; }

  void copy(const Node& node) {
    std::vector<Value*> operands;
    for (Value* operand : node.inputs()) operands.push_back(of(operand));
    Node* made = copy_node(graph_, node, std::move(operands), copies_, {"teacher/", "teacher/"});
    if (node.op().name == "SeededDropout") made->attrs.set("stream", node.attrs.integer("stream") + streams_);
  }

 private:
  Graph& graph_;
  ValueCopies copies_;
  int64_t streams_ = 0;
};

}  // namespace

Result<AveragedInstance> add_averaged_instance(Graph& graph, const std::vector<const Value*>& shared) {
  TRY(check_shapes(graph));
  std::vector<const Node*> nodes;
  for (const auto& node : graph.nodes()) nodes.push_back(node.get());
  Copier copier(graph, shared);
  for (const Node* node : nodes) copier.copy(*node);
  AveragedInstance instance;
  for (const GraphOutput& output : graph.outputs) instance.outputs.push_back(copier.of(output.value));
  for (const State& state : graph.states) {
    instance.states.push_back({fmt::format("{}{}", kAverage, state.name),
                               copier.of(state.in),
                               copier.of(state.out),
                               state.initial,
                               {}});
  }
  return instance;
}

void connect_averages(Graph& graph, const AveragedInstance& instance,
                      const std::vector<std::string>& averages) {
  for (size_t i = 0; i < instance.states.size(); ++i) {
    const State& own = instance.states[i];
    const auto kept = std::ranges::find(graph.states, own.name, &State::name);
    if (kept != graph.states.end())
      graph.replace_uses(own.in, kept->in);
    else if (own.out || std::ranges::find(averages, own.name) != averages.end())
      graph.states.push_back(own);
    else
      graph.replace_uses(own.in, graph.states[i].in);
  }
}

}  // namespace gannet
