#include <algorithm>
#include <set>

#include "backend/backend.h"
#include "backend/plan.h"
#include "ir/infer.h"
#include "ir/op.h"
#include "ir/view.h"

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

// Lowers one graph, and after it the subgraphs of its nodes.
class Lowerer {
 public:
  Lowerer(const BackendFactory& factory, std::vector<Placement>& placements) : factory_(factory), placements_(placements) {}

  Result<std::shared_ptr<Program>> lower(const Graph& graph, std::span<const std::string> outside) {
    const int32_t number = programs_++;
    ProgramBuilder builder(graph.name, outside);
    std::vector<std::unique_ptr<Backend>> backends = factory_();
    for (const Value* input : graph.inputs()) builder.add_input(input->name, input);
    for (const State& state : graph.states) builder.add_state(state);
    for (const auto& node : graph.nodes()) TRY(place(*node, {number, builder, backends}));
    for (const GraphOutput& output : graph.outputs) builder.add_output(output.name, output.value);
    builder.finish_states(graph.states);
    for (const auto& backend : backends) TRY(backend->finish(builder));
    TRY(plan_buffers(builder));
    return std::make_shared<Program>(std::move(builder.program()));
  }

 private:
  using Backends = std::vector<std::unique_ptr<Backend>>;

  // The program that is being made.
  struct Site {
    int32_t number = 0;
    ProgramBuilder& builder;
    Backends& backends;
  };

  static int32_t step_count(const Site& site) { return static_cast<int32_t>(site.builder.program().steps.size()); }

  // Where `node` went, with the steps from `first` on.
  void placed(const Node& node, const Site& site, int32_t first, std::string_view where, std::vector<std::string> refused = {}) {
    Placement placement{name_of_node(node), std::string(node.op().name), std::string(where), std::move(refused), {}, site.number, first, step_count(site)};
    placement.sources.assign(node.sources().begin(), node.sources().end());
    placements_.push_back(std::move(placement));
  }

  // `refused` says why the node is not computed together with others.
  Status place(const Node& node, const Site& site, std::vector<std::string> refused = {}) {
    const std::string_view op = node.op().name;
    ProgramBuilder& builder = site.builder;
    const int32_t first = step_count(site);
    if (op == "Constant" || op == "Dims") return {};
    if (op == "Identity") {
      builder.bind(node.output(), builder.value(node.input(0)));
      return placed(node, site, first, "view"), Status();
    }
    const bool ready = is_ready(node, builder);
    if (ready && is_view(node) && node.output()->type.is_tensor()) return view(node, site);
    if (ready) {
      for (const auto& backend : site.backends) {
        Result<Lowering> lowering = backend->lower(node, builder);
        if (!lowering.ok()) return with_prefix(describe(node), lowering.error());
        if (lowering->taken) return placed(node, site, first, backend->name(), std::move(refused)), Status();
        refused.push_back(std::string(backend->name()) + ": " + lowering->reason);
      }
    } else {
      refused.push_back("a shape is not known before the node runs");
    }
    if (op == "Fused") return unfold(node, site, refused);
    TRY(evaluate(node, builder));
    return placed(node, site, first, "eval", std::move(refused)), Status();
  }

  // Whether all operands and results are tensors whose extents are known when the node starts.
  static bool is_ready(const Node& node, ProgramBuilder& builder) {
    auto fits = [&](const Value* value) {
      if (!value) return true;
      return is_dense(value->type) && std::ranges::all_of(*value->type.shape, [&](const Dim& dim) { return builder.known(dim); });
    };
    return std::ranges::all_of(node.inputs(), fits) && std::ranges::all_of(node.outputs(), fits);
  }

  Status view(const Node& node, const Site& site) {
    ProgramBuilder& builder = site.builder;
    const Value &x = *node.input(0), &y = *node.output();
    builder.check(element_count(*x.type.shape), element_count(*y.type.shape), false, describe(node) + "elements");
    builder.alias(builder.value(&y), builder.value(&x));
    return placed(node, site, step_count(site), "view"), Status();
  }

  // The nodes of a fused one, each on its own.
  Status unfold(const Node& node, const Site& site, const std::vector<std::string>& refused) {
    const Graph& body = *node.attrs.graph("body");
    ProgramBuilder& builder = site.builder;
    std::vector<std::string> reasons;
    for (const std::string& reason : refused) reasons.push_back("together with others: " + reason);
    for (size_t i = 0; i < body.inputs().size(); ++i) builder.bind(body.inputs()[i], builder.value(node.input(i)));
    std::set<int32_t> sources(node.sources().begin(), node.sources().end());
    for (const auto& inner : body.nodes()) {
      TRY(place(*inner, site, reasons));
      for (const int32_t source : inner->sources()) sources.erase(source);
    }
    // What has joined the whole since it was fused.
    if (!placements_.empty()) placements_.back().sources.insert(placements_.back().sources.end(), sources.begin(), sources.end());
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
  int32_t programs_ = 0;
};

}  // namespace

Result<CompiledProgram> lower_to_program(const Graph& graph, const BackendFactory& backends) {
  CompiledProgram compiled;
  compiled.program = TRY(Lowerer(backends, compiled.placements).lower(graph, {}));
  return compiled;
}

}  // namespace gannet
