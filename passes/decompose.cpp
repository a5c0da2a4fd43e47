// Ops that are defined by a composition and that no backend takes whole are replaced by their parts. A node
// whose parts cannot be built for its operands stays as it is.
#include <algorithm>

#include "ir/builder.h"
#include "ir/op.h"
#include "passes/pass.h"
#include "passes/rewrite.h"

namespace gannet {

namespace {

// Compositions that are generated as one kernel.
constexpr std::string_view kKept[] = {"MeanVarianceNormalization"};

bool is_composite(const Node& node) {
  return node.op().decompose && std::ranges::find(kKept, node.op().name) == std::end(kKept);
}

// Parts may name extents in Dims leaves, which know only what the graph's inputs bind.
Status check_symbols(const Node& node, const std::set<std::string>& bound) {
  std::vector<std::string> names;
  for (const Value* operand : node.inputs()) {
    if (!operand || !operand->type.shape) continue;
    for (const Dim& dim : *operand->type.shape) dim.collect_symbols(names);
  }
  for (const std::string& name : names) {
    if (!bound.contains(name))
      return unsupported(fmt::format("extent '{}' is known only while the graph runs", name));
  }
  return {};
}

// Builds the parts in a graph of their own first, so that a failure leaves no trace.
Status try_apart(const Node& node) {
  Graph scratch("decomposition", node.graph().symbols());
  std::vector<Value*> operands;
  for (const Value* operand : node.inputs()) {
    Value* copy = nullptr;
    if (operand && operand->constant())
      copy = scratch.add_constant(*operand->constant());
    else if (operand)
      copy = scratch.add_input("", operand->type);
    if (copy) copy->contents = operand->contents;
    operands.push_back(copy);
  }
  GraphBuilder b(scratch);
  DecomposeContext context(b, node.attrs, std::move(operands), node.outputs().size());
  TRY(node.op().decompose(context));
  TRY(Status(b.status()));
  for (size_t i = 0; i < node.outputs().size(); ++i) {
    const Value* output = node.output(i);
    if (output && (!context.outputs()[i] || context.outputs()[i]->type != output->type)) {
      return unsupported(fmt::format("the parts give another type for output {}", i));
    }
  }
  return {};
}

Status take_apart(Graph& graph, Node* node, const std::set<std::string>& bound) {
  TRY(check_symbols(*node, bound));
  TRY(try_apart(*node));
  GraphBuilder b(graph, node, node->name);
  DecomposeContext context(b, node->attrs, {node->inputs().begin(), node->inputs().end()},
                           node->outputs().size());
  TRY(node->op().decompose(context));
  TRY(Status(b.status()));
  for (size_t i = 0; i < node->outputs().size(); ++i) {
    Value* output = node->output(i);
    if (!output) continue;
    Value* part = context.outputs()[i];
    const std::string name = output->name;
    graph.replace_uses(output, part);
    graph.rename(output, name + ".whole");
    if (part->producer() && std::ranges::find(node->inputs(), part) == node->inputs().end())
      graph.rename(part, name);
  }
  graph.erase(node);
  return {};
}

}  // namespace

Result<bool> decompose(Graph& graph, PassContext& context) {
  const std::set<std::string> bound = symbols_of_inputs(graph);
  std::vector<Node*> composite;
  for (const auto& node : graph.nodes()) {
    if (is_composite(*node)) composite.push_back(node.get());
  }
  bool changed = false;
  for (Node* node : composite) {
    const Status status = take_apart(graph, node, bound);
    if (status.ok())
      changed = true;
    else
      context.remark(*node, status.error().message);
  }
  return changed;
}

}  // namespace gannet
