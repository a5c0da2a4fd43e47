#include "frontend/layer_parameter.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "frontend/edit_model.h"
#include "frontend/tensor_data.h"
#include "ir/base/check.h"
#include "ir/base/checked.h"

namespace gannet {
namespace {

const onnx::AttributeProto* attribute_of(const onnx::NodeProto& node, std::string_view name) {
  for (const auto& attribute : node.attribute()) {
    if (attribute.name() == name) return &attribute;
  }
  return nullptr;
}

Error no_constant(const onnx::NodeProto& node) {
  return unsupported(fmt::format("node '{}' ({}) makes it of what is not constant", node.name().empty() ? node.output(0) : node.name(), node.op_type()));
}

// What a Reshape to `target` gives.
Result<std::vector<int64_t>> reshaped(const onnx::NodeProto& node, const std::vector<int64_t>& extents, std::vector<int64_t> target) {
  std::vector<int64_t> others;
  for (size_t i = 0; i < target.size(); ++i) {
    if (target[i] == 0 && i < extents.size()) target[i] = extents[i];
    if (target[i] > 0) others.push_back(target[i]);
  }
  const std::optional<int64_t> elements = checked_product(extents), product = checked_product(others);
  if (!elements || !product || *elements % *product != 0) return no_constant(node);
  for (int64_t& extent : target) {
    if (extent == -1) extent = *elements / *product;
  }
  if (std::ranges::any_of(target, [](int64_t extent) { return extent < 1; })) return no_constant(node);
  return target;
}

class Follower {
 public:
  Follower(const ProtoNames& names, const ModelFile& model, const Limits& limits) : names_(names), model_(model), limits_(limits) {}

  // Extents and dtype of `name`, with the way to its tensor.
  Status follow(const std::string& name, LayerParameter& parameter) {
    if (const onnx::TensorProto* tensor = names_.tensor(name)) {
      const TensorHeader header = TRY(read_tensor_header(*tensor, limits_));
      parameter.tensor = name;
      parameter.extents = header.extents;
      parameter.dtype = header.dtype;
      return {};
    }
    onnx::NodeProto* node = names_.producer(name);
    constexpr size_t kMostNodes = 8;
    if (!node || node->input_size() == 0 || parameter.between.size() == kMostNodes) return unsupported(fmt::format("'{}' is no tensor of the file", name));
    parameter.between.push_back(node);
    TRY(follow(node->input(0), parameter));
    return pass(*node, parameter);
  }

 private:
  Status pass(const onnx::NodeProto& node, LayerParameter& parameter) const {
    const std::string& op = node.op_type();
    std::vector<int64_t>& extents = parameter.extents;
    if (op == "Identity") return {};
    if (op == "QuantizeLinear" || op == "DequantizeLinear") return pass_codes(node, parameter);
    if (op == "Cast") {
      const onnx::AttributeProto* to = attribute_of(node, "to");
      parameter.dtype = to ? static_cast<DType>(to->i()) : DType::kUndefined;
      return {};
    }
    if (op == "Transpose") {
      const onnx::AttributeProto* perm = attribute_of(node, "perm");
      std::vector<int64_t> turned(extents.rbegin(), extents.rend());
      for (int i = 0; perm && i < perm->ints_size(); ++i) {
        const size_t from = static_cast<size_t>(perm->ints(i));
        if (from >= extents.size() || static_cast<size_t>(perm->ints_size()) != extents.size()) return no_constant(node);
        turned[static_cast<size_t>(i)] = extents[from];
      }
      extents = turned;
      return {};
    }
    if (op != "Reshape") return no_constant(node);
    const onnx::AttributeProto* fixed = attribute_of(node, "shape");  // before opset 5
    if (fixed) {
      extents = TRY(reshaped(node, extents, {fixed->ints().begin(), fixed->ints().end()}));
      return {};
    }
    const onnx::TensorProto* shape = node.input_size() > 1 ? names_.tensor(node.input(1)) : nullptr;
    if (!shape) return no_constant(node);
    const Tensor target = TRY(read_tensor(*shape, model_, limits_));
    if (target.dtype() != DType::kI64) return no_constant(node);
    extents = TRY(reshaped(node, extents, target.ints()));
    return {};
  }

  Status pass_codes(const onnx::NodeProto& node, LayerParameter& parameter) const {
    const onnx::TensorProto* scale = node.input_size() > 1 ? names_.tensor(node.input(1)) : nullptr;
    if (!scale) return no_constant(node);
    const TensorHeader header = TRY(read_tensor_header(*scale, limits_));
    parameter.dtype = node.op_type() == "DequantizeLinear" ? header.dtype : DType::kI8;
    return {};
  }

  const ProtoNames& names_;
  const ModelFile& model_;
  const Limits& limits_;
};

// Takes tensors that nothing uses any more out of the file, but none that something used before.
void drop_tensor(onnx::GraphProto& graph, const std::string& name) {
  auto drop = [&](auto* entries) {
    for (int i = entries->size() - 1; i >= 0; --i) {
      if (entries->Get(i).name() == name) entries->DeleteSubrange(i, 1);
    }
  };
  drop(graph.mutable_initializer());
  drop(graph.mutable_input());
  drop(graph.mutable_value_info());
}

void drop_nodes(onnx::GraphProto& graph, const std::vector<onnx::NodeProto*>& nodes) {
  std::vector<std::string> operands, results;
  for (const onnx::NodeProto* node : nodes) {
    for (int i = 1; i < node->input_size(); ++i) operands.push_back(node->input(i));
    results.insert(results.end(), node->output().begin(), node->output().end());
  }
  for (int i = graph.node_size() - 1; i >= 0; --i) {
    if (std::ranges::find(nodes, &graph.node(i)) != nodes.end()) graph.mutable_node()->DeleteSubrange(i, 1);
  }
  for (const std::string& name : results) drop_tensor(graph, name);
  const ProtoNames names(graph);
  for (const std::string& name : operands) {
    const onnx::NodeProto* producer = names.producer(name);
    if (names.uses(name) == 0 && !producer && names.tensor(name)) drop_tensor(graph, name);
  }
}

void declare_type(onnx::GraphProto& graph, const std::string& name, const Tensor& value) {
  declare_extents(graph, name, value.extents());
  for (auto* infos : {graph.mutable_input(), graph.mutable_value_info()}) {
    for (auto& info : *infos) {
      if (info.name() == name) info.mutable_type()->mutable_tensor_type()->set_elem_type(static_cast<int>(value.dtype()));
    }
  }
}

}  // namespace

Result<LayerParameter> find_parameter(const ProtoNames& names, const std::string& name, const ModelFile& model, const Limits& limits) {
  LayerParameter parameter;
  parameter.name = name;
  TRY(Follower(names, model, limits).follow(name, parameter));
  return parameter;
}

std::string replace_parameter(onnx::ModelProto& model, onnx::NodeProto& layer, const LayerParameter& parameter, const Tensor& value) {
  onnx::GraphProto& graph = *model.mutable_graph();
  const ProtoNames names(graph);
  bool own = names.uses(parameter.tensor) <= 1;
  for (const onnx::NodeProto* node : parameter.between) own = own && names.uses(node->output(0)) <= 1;
  const std::string name = own ? parameter.tensor : names.unused("head/" + parameter.tensor);
  for (int i = 0; i < layer.input_size(); ++i) {
    if (layer.input(i) == parameter.name) layer.set_input(i, name);
  }
  if (!own) {
    add_initializer(model, name, value);
    return name;
  }
  set_data(*names.tensor(name), value);
  declare_type(graph, name, value);
  drop_nodes(graph, parameter.between);
  return name;
}

}  // namespace gannet
