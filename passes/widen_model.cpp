#include "passes/widen_model.h"

#include <algorithm>
#include <vector>

#include "ir/builder.h"
#include "ir/infer.h"
#include "ir/op.h"

namespace gannet {

namespace {

bool is_narrow(DType dtype, DType to) {
  return dtype == DType::kF16 || dtype == DType::kBF16 || (dtype == DType::kF32 && to == DType::kF64);
}

bool is_narrow(const Type& type, DType to) {
  if (type.is_tensor()) return is_narrow(type.dtype, to);
  return type.element && is_narrow(*type.element, to);
}

Type widened_type(Type type, DType to) {
  if (type.is_tensor() && is_narrow(type.dtype, to)) type.dtype = to;
  if (type.element) type.element = std::make_shared<Type>(widened_type(*type.element, to));
  return type;
}

Result<Attr> widened_attr(const Attr& attr, DType to) {
  if (const auto* dtype = std::get_if<DType>(&attr)) return Attr(is_narrow(*dtype, to) ? to : *dtype);
  if (const auto* type = std::get_if<Type>(&attr)) return Attr(widened_type(*type, to));
  if (const auto* tensor = std::get_if<Tensor>(&attr)) {
    return Attr(tensor->defined() && is_narrow(tensor->dtype(), to) ? TRY(convert(*tensor, to)) : *tensor);
  }
  return attr;
}

// Where a node does not carry the attribute that makes something f32, the wide float is put there.
void widen_defaults(Node& node, DType to) {
  if (to != DType::kF64) return;
  for (const AttrDef& def : node.op().attrs) {
    if (node.attrs.has(def.name)) continue;
    if (def.kind == AttrKind::kDType && is_narrow(static_cast<DType>(def.default_int), to)) node.attrs.set(def.name, to);
    if (def.name == "stash_type") node.attrs.set(def.name, static_cast<int64_t>(to));
    if (def.name == "value" && node.op().name == "ConstantOfShape") node.attrs.set(def.name, Tensor::zeros(to, {1}));
  }
}

// A Cast to a narrow float is one to the wide float, which loses only the rounding.
Status widen_nodes(Graph& graph, DType to) {
  for (const auto& node : graph.nodes()) {
    std::vector<std::pair<std::string, Attr>> entries = node->attrs.entries();
    for (const auto& [name, attr] : entries) node->attrs.set(name, TRY(widened_attr(attr, to)));
    widen_defaults(*node, to);
    Status inside;
    for_each_subgraph(*node, [&](Graph& subgraph) {
      for (Value* input : subgraph.inputs()) input->type = widened_type(input->type, to);
      if (inside.ok()) inside = widen_nodes(subgraph, to);
    });
    TRY(std::move(inside));
    for (Value* output : node->outputs()) {
      if (output) output->type = widened_type(output->type, to);
    }
  }
  return {};
}

bool casts_between_floats(const Node& node) {
  return node.op().name == "Cast" && is_float(node.input(0)->type.dtype) && is_float(node.output()->type.dtype);
}

bool has_narrow(const Graph& graph, DType to) {
  bool found = false;
  for (const Value* input : graph.inputs()) found |= is_narrow(input->type, to);
  for_each_node(graph, [&](const Node& node) {
    for (const Value* output : node.outputs()) found |= output && is_narrow(output->type, to);
  });
  return found;
}

}  // namespace

Result<bool> widen_model(Graph& graph, DType to) {
  if (!has_narrow(graph, to)) return false;
  std::vector<Type> output_types;
  for (const GraphOutput& output : graph.outputs) output_types.push_back(output.value->type);
  TRY(widen_nodes(graph, to));
  Node* first = graph.nodes().empty() ? nullptr : graph.nodes().front().get();
  GraphBuilder before(graph, first);
  for (Value* input : graph.inputs()) {
    if (!is_narrow(input->type, to)) continue;
    if (!input->type.is_tensor())
      return unsupported(fmt::format("input '{}' is {}: it cannot be widened to {}", input->name,
                                     to_string(input->type), name_of(to)));
    Value* wide = before.cast(input, to);
    graph.replace_uses(input, wide);
    graph.set_operand(wide->producer(), 0, input);
  }
  TRY(Status(before.status()));
  TRY(infer_graph(graph));
  GraphBuilder after(graph);
  for (size_t i = 0; i < output_types.size(); ++i) {
    GraphOutput& output = graph.outputs[i];
    if (output_types[i].is_tensor() && is_narrow(output_types[i].dtype, to))
      output.value = after.cast(output.value, output_types[i].dtype);
  }
  TRY(Status(after.status()));
  return true;
}

void widen_ends(Graph& graph) {
  for (GraphOutput& output : graph.outputs) {
    const Node* node = output.value->producer();
    if (node && casts_between_floats(*node) && element_bits(node->input(0)->type.dtype) > element_bits(output.value->type.dtype))
      output.value = node->input(0);
  }
  for (Value* input : graph.inputs()) {
    const std::vector<Use> uses(input->uses().begin(), input->uses().end());
    if (uses.empty() || graph.is_result(input)) continue;
    const DType wide = uses.front().node->output()->type.dtype;
    const bool all = std::ranges::all_of(uses, [&](const Use& use) {
      return casts_between_floats(*use.node) && use.node->output()->type.dtype == wide;
    });
    if (!all || element_bits(input->type.dtype) >= element_bits(wide)) continue;
    input->type.dtype = wide;
    for (const Use& use : uses) {
      graph.replace_uses(use.node->output(), input);
      graph.erase(use.node);
    }
  }
  erase_dead_nodes(graph);
}

}  // namespace gannet
