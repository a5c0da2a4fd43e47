#include "passes/copy_node.h"

#include "ir/op.h"

namespace gannet {

Attributes copied_attributes(const Node& node) {
  Attributes copy = node.attrs;
  for (const auto& [name, attribute] : node.attrs.entries()) {
    const auto* graph = std::get_if<std::shared_ptr<Graph>>(&attribute);
    if (graph && *graph) copy.set(name, std::shared_ptr<Graph>((*graph)->clone()));
  }
  return copy;
}

Node* copy_node(Graph& graph, const Node& node, std::vector<Value*> operands, ValueCopies& copies, const CopyPrefixes& prefixes, Node* before) {
  std::vector<std::string> names;
  if (prefixes.values) {
    for (const Value* output : node.outputs()) names.push_back(output ? *prefixes.values + output->name : std::string());
  }
  Node* copy = graph.add_node(node.op(), std::move(operands), copied_attributes(node), node.outputs().size(), before, names);
  if (!node.name.empty()) copy->name = prefixes.node + node.name;
  copy->set_sources(node.sources());
  for (size_t i = 0; i < node.outputs().size(); ++i) {
    const Value* original = node.output(i);
    if (original == nullptr) {
      graph.drop_output(copy, i);
      continue;
    }
    copy->output(i)->type = original->type;
    copy->output(i)->contents = original->contents;
    copies[original] = copy->output(i);
  }
  return copy;
}

}  // namespace gannet
