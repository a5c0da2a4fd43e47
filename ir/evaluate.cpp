#include "ir/evaluate.h"

#include <unordered_map>

#include "ir/eval.h"
#include "ir/infer.h"
#include "ir/signature.h"

namespace gannet {

namespace {

NamedType signature_of(const Value& input) { return {input.name, input.type}; }

Status check_states(const Graph& graph, std::span<const Tensor> states) {
  if (states.empty()) return {};
  if (states.size() != graph.states.size()) {
    return invalid_input(fmt::format("{} states are given, the model has {}", states.size(), graph.states.size()));
  }
  for (size_t i = 0; i < states.size(); ++i) {
    const State& state = graph.states[i];
    Type given = Type::tensor(states[i].dtype(), to_shape(states[i].extents()));
    if (merge_types(state.in->type, given).ok()) continue;
    return invalid_input(fmt::format("state '{}' is {}, the model takes {}", state.name, to_string(given), to_string(state.in->type)));
  }
  return {};
}

// Runs nodes in order. A Run of a subgraph shares seed counter, limits and symbols with its parent.
class Run : public EvalServices {
 public:
  Run(const EvaluateOptions& options, SymbolValues symbols) : options_(options), symbols_(std::move(symbols)) {}

  Result<std::vector<Datum>> run(const Graph& graph, std::vector<Datum> inputs) override {
    if (depth_ >= options_.limits.nesting) return invalid_model(fmt::format("subgraphs nest deeper than {}", options_.limits.nesting));
    for (size_t i = 0; i < inputs.size() && i < graph.inputs().size(); ++i) {
      bind_symbols_of(graph.inputs()[i]->type, inputs[i]);
    }
    ++depth_;
    Result<std::vector<Datum>> result = run_graph(graph, std::move(inputs), {}, nullptr);
    --depth_;
    return result;
  }

  const SymbolValues& symbols() const override { return symbols_; }
  const Limits& limits() const override { return options_.limits; }
  // Weyl sequence: distinct for each draw, a function of the seed alone.
  uint64_t next_random_seed() override { return options_.seed + 0x9E3779B97F4A7C15u * ++draws_; }

  Result<std::vector<Datum>> run_graph(const Graph& graph, std::vector<Datum> inputs, std::span<const Tensor> states,
                                       std::vector<Tensor>* state_outputs) {
    Environment values;
    TRY(load(graph, std::move(inputs), states, values));
    std::unordered_map<const Value*, int64_t> remaining = count_uses(graph);
    for (const auto& node : graph.nodes()) TRY(step(*node, values, remaining));
    std::vector<Datum> outputs;
    for (const GraphOutput& output : graph.outputs) outputs.push_back(values.at(output.value));
    for (const auto& [value, datum] : values) live_bytes_ -= counted_bytes(value, datum);
    if (state_outputs) {
      for (size_t i = 0; i < graph.states.size(); ++i) {
        const State& state = graph.states[i];
        state_outputs->push_back(values.at(state.out ? state.out : state.in).tensor());
      }
    }
    return outputs;
  }

 private:
  using Environment = std::unordered_map<const Value*, Datum>;

  static Status load(const Graph& graph, std::vector<Datum> inputs, std::span<const Tensor> states, Environment& values) {
    CHECK(inputs.size() == graph.inputs().size(), "{} inputs for a graph of {}", inputs.size(), graph.inputs().size());
    for (size_t i = 0; i < inputs.size(); ++i) values[graph.inputs()[i]] = std::move(inputs[i]);
    for (size_t i = 0; i < graph.states.size(); ++i) {
      values[graph.states[i].in] = Datum(states.empty() ? graph.states[i].initial : states[i]);
    }
    return {};
  }

  static std::unordered_map<const Value*, int64_t> count_uses(const Graph& graph) {
    std::unordered_map<const Value*, int64_t> counts;
    for (const auto& node : graph.nodes()) {
      for (const Value* operand : node->inputs()) {
        if (operand) ++counts[operand];
      }
    }
    for (const GraphOutput& output : graph.outputs) ++counts[output.value];
    for (const State& state : graph.states) ++counts[state.out ? state.out : state.in];
    return counts;
  }

  void bind_symbols_of(const Type& type, const Datum& datum) {
    if (!datum.is_tensor() || !type.shape || type.rank() != datum.tensor().rank()) return;
    for (size_t axis = 0; axis < type.shape->size(); ++axis) {
      std::optional<std::string> symbol = (*type.shape)[axis].symbol_name();
      if (symbol) symbols_.insert_or_assign(*symbol, datum.tensor().extent(static_cast<int64_t>(axis)));
    }
  }

  // Symbols bound by this node's results: data-dependent extents that later Dims nodes may name.
  void bind_results(const Node& node, std::span<const Datum> results) {
    for (size_t i = 0; i < results.size(); ++i) {
      if (const Value* output = node.output(i)) bind_symbols_of(output->type, results[i]);
    }
  }

  // Bytes of a value that the run made; operands and constants are there anyway.
  static int64_t counted_bytes(const Value* value, const Datum& datum) {
    bool counted = value->producer() && value->producer()->op().name != "Constant";
    return counted ? datum.bytes() : 0;
  }

  Status step(const Node& node, Environment& values, std::unordered_map<const Value*, int64_t>& remaining) {
    std::vector<Datum> operands;
    operands.reserve(node.inputs().size());
    for (const Value* operand : node.inputs()) operands.push_back(operand ? values.at(operand) : Datum());
    Result<std::vector<Datum>> results = eval_op(node.op(), node.attrs, operands, node.outputs().size(), *this);
    if (!results.ok()) return with_prefix(describe(node), results.error());
    operands.clear();
    bind_results(node, *results);
    if (depth_ == 0 && options_.observer) options_.observer(node, *results);
    for (size_t i = 0; i < results->size(); ++i) {
      const Value* output = node.output(i);
      if (output && remaining.contains(output)) TRY(keep(node, output, std::move((*results)[i]), values));
    }
    for (const Value* operand : node.inputs()) {
      if (operand && --remaining[operand] == 0) release(operand, values);
    }
    return {};
  }

  Status keep(const Node& node, const Value* output, Datum result, Environment& values) {
    live_bytes_ += counted_bytes(output, result);
    if (live_bytes_ > options_.limits.live_bytes) {
      return invalid_input(fmt::format("{}{} bytes of tensors are alive, beyond the limit live-bytes={}", describe(node), live_bytes_,
                                       options_.limits.live_bytes));
    }
    values[output] = std::move(result);
    return {};
  }

  void release(const Value* value, Environment& values) {
    auto entry = values.find(value);
    if (entry == values.end()) return;
    live_bytes_ -= counted_bytes(value, entry->second);
    values.erase(entry);
  }

  const EvaluateOptions& options_;
  SymbolValues symbols_;
  uint64_t draws_ = 0;
  int64_t depth_ = 0;
  int64_t live_bytes_ = 0;
};

}  // namespace

Result<SymbolValues> bind_symbols(const Graph& graph, std::span<const Datum> inputs) {
  SymbolValues symbols;
  for (size_t i = 0; i < inputs.size(); ++i) TRY(bind_input(signature_of(*graph.inputs()[i]), inputs[i], symbols));
  for (size_t i = 0; i < inputs.size(); ++i) TRY(check_extents(signature_of(*graph.inputs()[i]), inputs[i], symbols));
  return symbols;
}

Result<EvaluateResult> evaluate(const Graph& graph, std::vector<Datum> inputs, const EvaluateOptions& options,
                                std::span<const Tensor> states) {
  if (inputs.size() != graph.inputs().size()) {
    return invalid_input(fmt::format("{} inputs are given, the model takes {}", inputs.size(), graph.inputs().size()));
  }
  for (size_t i = 0; i < inputs.size(); ++i) TRY(check_input(signature_of(*graph.inputs()[i]), inputs[i]));
  TRY(check_states(graph, states));
  SymbolValues symbols = TRY(bind_symbols(graph, inputs));
  Run run(options, std::move(symbols));
  EvaluateResult result;
  result.outputs = TRY(run.run_graph(graph, std::move(inputs), states, &result.state_outputs));
  return result;
}

}  // namespace gannet
