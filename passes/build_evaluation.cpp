#include "passes/build_evaluation.h"

#include <algorithm>

namespace gannet {

namespace {

// The State of `name` as an input of the graph. A batch normalization whose statistics are not State stays in
// inference.
State take_state(Graph& graph, const std::string& name) {
  const auto found = std::ranges::find(graph.states, name, &State::name);
  CHECK(found != graph.states.end(), "the model has no state '{}'", name);
  State state = *found;
  graph.states.erase(found);
  graph.replace_uses(state.in, graph.add_input(name, state.in->type));
  return state;
}

size_t input_index(const Graph& graph, const Value* input) {
  return static_cast<size_t>(std::ranges::find(graph.inputs(), input) - graph.inputs().begin());
}

}  // namespace

Result<std::unique_ptr<Graph>> build_evaluation(const Graph& model, const TrainStepOptions& options,
                                                const TrainStep& step) {
  std::unique_ptr<Graph> inference = model.clone();
  const size_t model_inputs = inference->inputs().size();
  std::vector<State> statistics;
  for (const std::string& name : step.running_statistics) statistics.push_back(take_state(*inference, name));
  TrainStepOptions plain;
  plain.loss = options.loss;
  plain.output_name = step.trained_output;
  plain.prediction = true;
  std::unique_ptr<Graph> graph = std::move(TRY(build_train_step(*inference, plain)).graph);
  for (State& state : graph->states) state.out = nullptr;
  erase_dead_nodes(*graph);
  graph->erase_input(graph->inputs().size() - 1);
  // What the statistics were made to be inputs of stands behind the model's own.
  for (State& state : statistics) {
    Value* input = graph->inputs()[model_inputs];
    state.in = graph->add_state_value(state.name, input->type);
    state.out = nullptr;
    graph->replace_uses(input, state.in);
    graph->erase_input(input_index(*graph, input));
    graph->states.push_back(std::move(state));
  }
  return graph;
}

}  // namespace gannet
