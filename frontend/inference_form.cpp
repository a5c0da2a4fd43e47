#include "frontend/inference_form.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "frontend/edit_model.h"

namespace gannet {

namespace {

void collect_reads(const onnx::GraphProto& graph, std::set<std::string>& names) {
  for (const onnx::ValueInfoProto& output : graph.output()) names.insert(output.name());
  for (const onnx::NodeProto& node : graph.node()) {
    names.insert(node.input().begin(), node.input().end());
    for (const onnx::AttributeProto& attribute : node.attribute()) {
      if (attribute.has_g()) collect_reads(attribute.g(), names);
      for (const onnx::GraphProto& body : attribute.graphs()) collect_reads(body, names);
    }
  }
}

bool trains(const onnx::NodeProto& node) {
  if (node.op_type() != "BatchNormalization" || !(node.domain().empty() || node.domain() == "ai.onnx"))
    return false;
  return node.output_size() > 1 ||
         std::ranges::any_of(node.attribute(), [](const onnx::AttributeProto& attribute) {
           return attribute.name() == "training_mode" && attribute.i() != 0;
         });
}

std::vector<std::string> edit(onnx::GraphProto& graph) {
  std::set<std::string> read, gone;
  collect_reads(graph, read);
  std::vector<std::string> changed;
  for (onnx::NodeProto& node : *graph.mutable_node()) {
    if (!trains(node)) continue;
    auto* outputs = node.mutable_output();
    const bool is_read = std::any_of(outputs->begin() + 1, outputs->end(),
                                     [&](const std::string& name) { return !name.empty() && read.contains(name); });
    if (is_read) continue;
    std::copy_if(outputs->begin() + 1, outputs->end(), std::inserter(gone, gone.end()),
                 [](const std::string& name) { return !name.empty(); });
    outputs->DeleteSubrange(1, outputs->size() - 1);
    auto* attributes = node.mutable_attribute();
    const auto flag = std::ranges::find(*attributes, "training_mode", &onnx::AttributeProto::name);
    if (flag != attributes->end()) attributes->erase(flag);
    changed.push_back(node.name().empty() ? node.output(0) : node.name());
  }
  auto* infos = graph.mutable_value_info();
  infos->erase(std::remove_if(infos->begin(), infos->end(),
                              [&](const onnx::ValueInfoProto& info) { return gone.contains(info.name()); }),
               infos->end());
  return changed;
}

}  // namespace

Result<InferenceForm> to_inference_form(const ModelFile& model, const Limits& limits) {
  InferenceForm result;
  if (!std::ranges::any_of(model.proto.graph().node(), trains)) return result;
  auto file = edit_model(
      model,
      [&](onnx::ModelProto& proto) {
        result.nodes = edit(*proto.mutable_graph());
        return Status();
      },
      limits);
  if (!file.ok()) return file.error();
  if (!result.nodes.empty()) result.file = *std::move(file);
  return result;
}

}  // namespace gannet
