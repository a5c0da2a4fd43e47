#include <algorithm>
#include <set>

#include "backend/backend.h"
#include "backend/plan.h"
#include "ir/infer.h"
#include "ir/op.h"

namespace gannet {
namespace {

std::string name_of_node(const Node& node) {
  if (!node.name.empty()) return node.name;
  const auto output = std::ranges::find_if(node.outputs(), [](const Value* value) { return value != nullptr; });
  return output == node.outputs().end() ? std::string() : (*output)->name;
}

// A subgraph without its nodes: what the op that owns it asks of it while it runs. Results that are an input or a small
// constant stay recognizable.
std::shared_ptr<Graph> shell_of(const Graph& graph) {
  constexpr int64_t kMostElements = 16;
  auto shell = std::make_shared<Graph>(graph.name);
  for (const Value* input : graph.inputs()) shell->add_input(input->name, input->type);
  for (const GraphOutput& output : graph.outputs) {
    const Value* value = output.value;
    while (value->producer() && value->producer()->op().name == "Identity") value = value->producer()->input(0);
    const auto input = std::ranges::find(graph.inputs(), value);
    Value* made = nullptr;
    if (input != graph.inputs().end()) made = shell->inputs()[static_cast<size_t>(input - graph.inputs().begin())];
    else if (value->constant() && value->constant()->elements() <= kMostElements) made = shell->add_constant(*value->constant());
    else made = shell->add_state_value(output.name, output.value->type);
    shell->outputs.push_back({output.name, made});
  }
  return shell;
}

bool is_view(const Node& node) {
  constexpr std::string_view kViews[] = {"Reshape", "Squeeze", "Unsqueeze", "Flatten"};
  return std::ranges::find(kViews, node.op().name) != std::end(kViews);
}

// Lowers one graph, and after it the subgraphs of its nodes.
class Lowerer {
 public:
  Lowerer(const BackendFactory& factory, std::vector<Placement>& placements) : factory_(factory), placements_(placements) {}

  Result<std::shared_ptr<Program>> lower(const Graph& graph, std::span<const std::string> outside) {
    ProgramBuilder builder(graph.name, outside);
    std::vector<std::unique_ptr<Backend>> backends = factory_();
    for (const Value* input : graph.inputs()) builder.add_input(input->name, input);
    for (const State& state : graph.states) builder.add_state(state);
    for (const auto& node : graph.nodes()) TRY(place(*node, builder, backends));
    for (const GraphOutput& output : graph.outputs) builder.add_output(output.name, output.value);
    builder.finish_states(graph.states);
    for (const auto& backend : backends) TRY(backend->finish(builder));
    TRY(plan_buffers(builder));
    return std::make_shared<Program>(std::move(builder.program()));
  }

 private:
  using Backends = std::vector<std::unique_ptr<Backend>>;

  void placed(const Node& node, std::string_view where, std::vector<std::string> refused = {}) {
    placements_.push_back({name_of_node(node), std::string(node.op().name), std::string(where), std::move(refused)});
  }

  Status place(const Node& node, ProgramBuilder& builder, Backends& backends) {
    const std::string_view op = node.op().name;
    if (op == "Constant" || op == "Dims") return {};
    if (op == "Identity") {
      builder.bind(node.output(), builder.value(node.input(0)));
      return placed(node, "view"), Status();
    }
    const bool ready = is_ready(node, builder);
    if (ready && is_view(node)) return view(node, builder);
    std::vector<std::string> refused;
    if (ready) {
      for (const auto& backend : backends) {
        Result<Lowering> lowering = backend->lower(node, builder);
        if (!lowering.ok()) return with_prefix(describe(node), lowering.error());
        if (lowering->taken) return placed(node, backend->name(), std::move(refused)), Status();
        refused.push_back(std::string(backend->name()) + ": " + lowering->reason);
      }
    } else {
      refused.push_back("a shape is not known before the node runs");
    }
    if (op == "Fused") return unfold(node, builder, backends);
    placed(node, "eval", std::move(refused));
    return evaluate(node, builder);
  }

  // Whether all operands and results are tensors whose extents are known when the node starts.
  static bool is_ready(const Node& node, ProgramBuilder& builder) {
    auto fits = [&](const Value* value) {
      if (!value) return true;
      return is_dense(value->type) && std::ranges::all_of(*value->type.shape, [&](const Dim& dim) { return builder.known(dim); });
    };
    return std::ranges::all_of(node.inputs(), fits) && std::ranges::all_of(node.outputs(), fits);
  }

  Status view(const Node& node, ProgramBuilder& builder) {
    const Value &x = *node.input(0), &y = *node.output();
    builder.check(element_count(*x.type.shape), element_count(*y.type.shape), false, describe(node) + "elements");
    builder.alias(builder.value(&y), builder.value(&x));
    return placed(node, "view"), Status();
  }

  // The nodes of a fused one, each on its own.
  Status unfold(const Node& node, ProgramBuilder& builder, Backends& backends) {
    const Graph& body = *node.attrs.graph("body");
    for (size_t i = 0; i < body.inputs().size(); ++i) builder.bind(body.inputs()[i], builder.value(node.input(i)));
    for (const auto& inner : body.nodes()) TRY(place(*inner, builder, backends));
    for (size_t i = 0; i < node.outputs().size(); ++i) {
      if (node.output(i)) builder.bind(node.output(i), builder.value(body.outputs[i].value));
    }
    return {};
  }

  Status evaluate(const Node& node, ProgramBuilder& builder) {
    Step step;
    step.name = node.name;
    step.op = node.op().name;
    for (const Value* input : node.inputs()) step.inputs.push_back(builder.value(input));
    for (const Value* output : node.outputs()) step.outputs.push_back(builder.value(output));
    EvalCall call;
    call.op = node.op().name;
    call.attrs = node.attrs;
    for (const auto& [name, attr] : node.attrs.entries()) {
      const auto* graph = std::get_if<std::shared_ptr<Graph>>(&attr);
      if (!graph) continue;
      Result<std::shared_ptr<Program>> body = lower(**graph, builder.known_symbols());
      if (!body.ok()) return with_prefix(describe(node), body.error());
      call.bodies.emplace_back(name, static_cast<int32_t>(builder.program().bodies.size()));
      builder.program().bodies.push_back(*std::move(body));
      call.attrs.set(name, shell_of(**graph));
    }
    call.bindings = bindings_of(node, builder);
    if (const std::optional<Dim> flops = flops_of(node); flops && builder.known(*flops)) step.flop_count = builder.size(*flops);
    step.call = std::move(call);
    builder.add_step(std::move(step));
    return {};
  }

  // Symbols that nothing has bound before and that are an extent of a result.
  static std::vector<SymbolBinding> bindings_of(const Node& node, ProgramBuilder& builder) {
    std::vector<SymbolBinding> bindings;
    std::set<std::string> bound;
    for (size_t i = 0; i < node.outputs().size(); ++i) {
      const Value* output = node.output(i);
      if (!output || !output->type.is_tensor() || !output->type.shape) continue;
      for (size_t axis = 0; axis < output->type.shape->size(); ++axis) {
        const Dim& dim = (*output->type.shape)[axis];
        const std::optional<std::string> symbol = dim.symbol_name();
        if (!symbol || builder.known(dim) || !bound.insert(*symbol).second) continue;
        bindings.push_back({*symbol, static_cast<int32_t>(i), static_cast<int32_t>(axis)});
      }
    }
    return bindings;
  }

  const BackendFactory& factory_;
  std::vector<Placement>& placements_;
};

}  // namespace

Result<CompiledProgram> lower_to_program(const Graph& graph, const BackendFactory& backends) {
  CompiledProgram compiled;
  compiled.program = TRY(Lowerer(backends, compiled.placements).lower(graph, {}));
  return compiled;
}

}  // namespace gannet
