#include "passes/averaged_instance.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include "ir/infer.h"
#include "ir/op.h"

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

// With subgraphs of its own.
Attributes copy_of(const Attributes& attributes) {
  Attributes copy = attributes;
  for (const auto& [name, attribute] : attributes.entries()) {
    const auto* graph = std::get_if<std::shared_ptr<Graph>>(&attribute);
    if (graph && *graph) copy.set(name, std::shared_ptr<Graph>((*graph)->clone()));
  }
  return copy;
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
    std::vector<std::string> names;
    for (const Value* output : node.outputs())
      names.push_back(output ? "teacher/" + output->name : std::string());
    Node* made =
        graph_.add_node(node.op(), std::move(operands), copy_of(node.attrs), names.size(), nullptr, names);
    if (!node.name.empty()) made->name = "teacher/" + node.name;
    made->set_sources(node.sources());
    if (node.op().name == "SeededDropout") made->attrs.set("stream", node.attrs.integer("stream") + streams_);
    for (size_t i = 0; i < names.size(); ++i) {
      if (Value* original = node.output(i)) {
        Value* output = made->output(i);
        output->type = original->type;
        output->contents = original->contents;
        copies_[original] = output;
      } else {
        graph_.drop_output(made, i);
      }
    }
  }

 private:
  Graph& graph_;
  std::unordered_map<const Value*, Value*> copies_;
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
