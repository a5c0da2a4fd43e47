#include "tools/driver/model_summary.h"

#include <algorithm>
#include <unordered_map>

#include "ir/op.h"

namespace gannet {

namespace {

void count_nodes(const Graph& graph, ModelSummary& summary) {
  for_each_node(graph, [&](const Node& node) {
    const Tensor* constant = node.outputs().size() == 1 && node.output() ? node.output()->constant() : nullptr;
    if (constant == nullptr) {
      ++summary.op_counts[std::string(node.op().name)];
      return;
    }
    if (!node.output()->origin && constant->elements() <= 1) return;
    ModelSummary::Parameters& parameters = summary.parameters[std::string(name_of(constant->dtype()))];
    ++parameters.tensors;
    parameters.elements += constant->elements();
    parameters.bytes += constant->bytes();
  });
}

void collect_symbols(const Graph& graph, ModelSummary& summary) {
  auto add = [](const Type& type, std::vector<std::string>& names, const std::vector<std::string>* known) {
    std::vector<std::string> found;
    if (type.shape) {
      for (const Dim& dim : *type.shape) dim.collect_symbols(found);
    }
    for (const std::string& name : found) {
      bool seen = std::find(names.begin(), names.end(), name) != names.end();
      if (!seen && (!known || std::find(known->begin(), known->end(), name) == known->end())) names.push_back(name);
    }
  };
  for (const Value* input : graph.inputs()) add(input->type, summary.symbols, nullptr);
  for (const auto& node : graph.nodes()) {
    for (const Value* output : node->outputs()) {
      if (output) add(output->type, summary.bound_at_run_time, &summary.symbols);
    }
  }
}

std::optional<int64_t> bytes_of(const Value& value, const SymbolValues& symbols) {
  if (!value.type.is_tensor() || !value.type.shape || value.type.dtype == DType::kUndefined) return std::nullopt;
  Result<int64_t> elements = element_count(*value.type.shape).evaluate(symbols);
  if (!elements.ok()) return std::nullopt;
  return *elements * element_size(value.type.dtype);
}

bool is_activation(const Value* value) {
  return value && value->producer() && value->producer()->op().name != "Constant" && value->producer()->op().name != "Dims";
}

void measure_memory(const Graph& graph, ModelSummary& summary) {
  std::unordered_map<const Value*, int64_t> last_use;
  int64_t position = 0;
  for (const auto& node : graph.nodes()) {
    ++position;
    for (const Value* operand : node->inputs()) {
      if (operand) last_use[operand] = position;
    }
  }
  for (const GraphOutput& output : graph.outputs) last_use[output.value] = position + 1;
  int64_t total = 0, alive = 0, peak = 0;
  position = 0;
  for (const auto& node : graph.nodes()) {
    ++position;
    for (const Value* output : node->outputs()) {
      if (!is_activation(output)) continue;
      std::optional<int64_t> bytes = bytes_of(*output, summary.assumed);
      if (!bytes) return;
      total += *bytes;
      alive += *bytes;
    }
    peak = std::max(peak, alive);
    std::vector<const Value*> operands(node->inputs().begin(), node->inputs().end());
    std::sort(operands.begin(), operands.end());
    operands.erase(std::unique(operands.begin(), operands.end()), operands.end());
    for (const Value* operand : operands) {
      if (is_activation(operand) && last_use[operand] == position) alive -= bytes_of(*operand, summary.assumed).value_or(0);
    }
    for (const Value* output : node->outputs()) {
      if (is_activation(output) && !last_use.contains(output)) alive -= bytes_of(*output, summary.assumed).value_or(0);
    }
  }
  summary.activation_bytes = total;
  summary.peak_bytes = peak;
}

void measure_flops(const Graph& graph, ModelSummary& summary) {
  double total = 0;
  bool known = true;
  for_each_node(graph, [&](const Node& node) {
    std::optional<Dim> flops = flops_of(node);
    Result<int64_t> value = flops ? flops->evaluate(summary.assumed) : Result<int64_t>(invalid_input("unknown"));
    if (!value.ok()) {
      known = false;
      return;
    }
    total += static_cast<double>(*value);
    if (*value > 0) summary.flops_by_op[std::string(node.op().name)] += static_cast<double>(*value);
  });
  if (known) summary.flops = total;
}

}  // namespace

ModelSummary summarize(const Graph& graph, const SymbolValues& extents) {
  ModelSummary summary;
  count_nodes(graph, summary);
  collect_symbols(graph, summary);
  for (const std::string& symbol : summary.symbols) {
    auto given = extents.find(symbol);
    summary.assumed[symbol] = given == extents.end() ? 1 : given->second;
  }
  measure_flops(graph, summary);
  measure_memory(graph, summary);
  return summary;
}

}  // namespace gannet
