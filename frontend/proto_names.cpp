#include "frontend/proto_names.h"

#include <fmt/format.h>

#include "frontend/edit_model.h"
#include "ir/base/check.h"

namespace gannet {
namespace {

void count_uses(const onnx::GraphProto& graph, std::map<std::string, int>& counts,
                std::set<std::string>& all) {
  for (const auto& output : graph.output()) ++counts[output.name()];
  for (const auto& input : graph.input()) all.insert(input.name());
  for (const auto& tensor : graph.initializer()) all.insert(tensor.name());
  for (const auto& node : graph.node()) {
    for (const auto& name : node.input()) ++counts[name];
    for (const auto& name : node.output()) all.insert(name);
    for (const auto& attribute : node.attribute()) {
      if (attribute.has_g()) count_uses(attribute.g(), counts, all);
      for (const auto& inner : attribute.graphs()) count_uses(inner, counts, all);
    }
  }
}

}  // namespace

ProtoNames::ProtoNames(onnx::GraphProto& graph) {
  count_uses(graph, use_counts, all);
  for (auto& tensor : *graph.mutable_initializer()) tensors.emplace(tensor.name(), &tensor);
  for (auto& node : *graph.mutable_node()) {
    for (const auto& name : node.output()) producers.emplace(name, &node);
    if (node.op_type() != "Constant" || node.output_size() != 1) continue;
    for (auto& attribute : *node.mutable_attribute()) {
      if (attribute.has_t()) tensors.emplace(node.output(0), attribute.mutable_t());
    }
  }
}

onnx::NodeProto* ProtoNames::producer(const std::string& name) const {
  auto found = producers.find(name);
  return found == producers.end() ? nullptr : found->second;
}

onnx::TensorProto* ProtoNames::tensor(const std::string& name) const {
  auto found = tensors.find(name);
  return found == tensors.end() ? nullptr : found->second;
}

int ProtoNames::uses(const std::string& name) const {
  auto found = use_counts.find(name);
  return found == use_counts.end() ? 0 : found->second;
}

std::string ProtoNames::unused(const std::string& wanted) const {
  std::string name = wanted;
  for (int number = 2; all.contains(name); ++number) name = fmt::format("{}_{}", wanted, number);
  return name;
}

onnx::TensorProto* add_initializer(onnx::ModelProto& model, const std::string& name, const Tensor& value) {
  constexpr int64_t kInitializersNeedNoInput = 4;
  onnx::GraphProto& graph = *model.mutable_graph();
  onnx::TensorProto* tensor = graph.add_initializer();
  tensor->set_name(name);
  set_data(*tensor, value);
  if (model.ir_version() < kInitializersNeedNoInput) {
    onnx::ValueInfoProto* input = graph.add_input();
    input->set_name(name);
    auto* type = input->mutable_type()->mutable_tensor_type();
    type->set_elem_type(tensor->data_type());
    for (int64_t extent : value.extents()) type->mutable_shape()->add_dim()->set_dim_value(extent);
  }
  return tensor;
}

void declare_extents(onnx::GraphProto& graph, const std::string& name, const std::vector<int64_t>& extents) {
  auto declare = [&](auto* infos) {
    for (auto& info : *infos) {
      if (info.name() != name || !info.type().tensor_type().has_shape()) continue;
      auto* shape = info.mutable_type()->mutable_tensor_type()->mutable_shape();
      shape->clear_dim();
      for (int64_t extent : extents) shape->add_dim()->set_dim_value(extent);
    }
  };
  declare(graph.mutable_input());
  declare(graph.mutable_value_info());
}

int64_t opset_of(const onnx::ModelProto& model) {
  for (const auto& opset : model.opset_import()) {
    if (opset.domain().empty() || opset.domain() == "ai.onnx") return opset.version();
  }
  return 1;
}

}  // namespace gannet
