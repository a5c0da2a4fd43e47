#include "passes/widen_model.h"

#include <vector>

#include "ir/builder.h"
#include "ir/infer.h"
#include "ir/op.h"

namespace gannet {

namespace {

bool is_half(DType dtype) { return dtype == DType::kF16 || dtype == DType::kBF16; }

bool is_half(const Type& type) {
  if (type.is_tensor()) return is_half(type.dtype);
  return type.element && is_half(*type.element);
}

Type widened_type(Type type) {
  if (type.is_tensor() && is_half(type.dtype)) type.dtype = DType::kF32;
  if (type.element) type.element = std::make_shared<Type>(widened_type(*type.element));
  return type;
}

Result<Attr> widened_attr(const Attr& attr) {
  if (const auto* dtype = std::get_if<DType>(&attr)) return Attr(is_half(*dtype) ? DType::kF32 : *dtype);
  if (const auto* type = std::get_if<Type>(&attr)) return Attr(widened_type(*type));
  if (const auto* tensor = std::get_if<Tensor>(&attr)) {
    return Attr(tensor->defined() && is_half(tensor->dtype()) ? TRY(convert(*tensor, DType::kF32)) : *tensor);
  }
  return attr;
}

Status widen_nodes(Graph& graph) {
  for (const auto& node : graph.nodes()) {
    std::vector<std::pair<std::string, Attr>> entries = node->attrs.entries();
    for (const auto& [name, attr] : entries) node->attrs.set(name, TRY(widened_attr(attr)));
    Status inside;
    for_each_subgraph(*node, [&](Graph& subgraph) {
      for (Value* input : subgraph.inputs()) input->type = widened_type(input->type);
      if (inside.ok()) inside = widen_nodes(subgraph);
    });
    TRY(std::move(inside));
    for (Value* output : node->outputs()) {
      if (output) output->type = widened_type(output->type);
    }
  }
  return {};
}

bool has_halves(const Graph& graph) {
  bool found = false;
  for (const Value* input : graph.inputs()) found |= is_half(input->type);
  for_each_node(graph, [&](const Node& node) {
    for (const Value* output : node.outputs()) found |= output && is_half(output->type);
  });
  return found;
}

}  // namespace

Result<bool> widen_model(Graph& graph) {
  if (!has_halves(graph)) return false;
  std::vector<Type> output_types;
  for (const GraphOutput& output : graph.outputs) output_types.push_back(output.value->type);
  TRY(widen_nodes(graph));
  Node* first = graph.nodes().empty() ? nullptr : graph.nodes().front().get();
  GraphBuilder before(graph, first);
  for (Value* input : graph.inputs()) {
    if (!is_half(input->type)) continue;
    if (!input->type.is_tensor()) return unsupported(fmt::format("input '{}' is {}: it cannot be widened to f32", input->name, to_string(input->type)));
    Value* wide = before.cast(input, DType::kF32);
    graph.replace_uses(input, wide);
    graph.set_operand(wide->producer(), 0, input);
  }
  TRY(Status(before.status()));
  TRY(infer_graph(graph));
  GraphBuilder after(graph);
  for (size_t i = 0; i < output_types.size(); ++i) {
    GraphOutput& output = graph.outputs[i];
    if (output_types[i].is_tensor() && is_half(output_types[i].dtype)) output.value = after.cast(output.value, output_types[i].dtype);
  }
  TRY(Status(after.status()));
  return true;
}

}  // namespace gannet
