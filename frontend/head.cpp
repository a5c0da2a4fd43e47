#include "frontend/head.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "frontend/edit_model.h"
#include "frontend/layer_parameter.h"
#include "frontend/proto_names.h"
#include "frontend/tensor_data.h"
#include "ir/base/random.h"

namespace gannet {
namespace {

// What may stand between the last layer and the output, read through operand 0.
constexpr std::string_view kPassed[] = {
    "Softmax", "LogSoftmax", "Sigmoid", "Identity",          "Reshape",     "Flatten",
    "Squeeze", "Unsqueeze",  "Dropout", "GlobalAveragePool", "AveragePool", "ReduceMean",
    "Relu",    "Cast",       "Clip",    "GlobalMaxPool",     "MaxPool",
    "QuantizeLinear", "DequantizeLinear"};

struct Layer {
  onnx::NodeProto* node = nullptr;
  onnx::NodeProto* bias_add = nullptr;  // the Add behind a MatMul
  int class_axis = 0;                   // of the weight
  LayerParameter weight;
  std::optional<LayerParameter> bias;
};

// Where parameters are looked for.
struct Parameters {
  const ProtoNames& names;
  const ModelFile& model;
  const Limits& limits;

  Result<LayerParameter> find(const std::string& name) const { return find_parameter(names, name, model, limits); }
  bool has(const std::string& name) const { return find(name).ok(); }
};

bool passes(const onnx::NodeProto& node) {
  return std::ranges::find(kPassed, node.op_type()) != std::end(kPassed);
}

std::string title(const onnx::NodeProto& node) {
  return fmt::format("node '{}' ({})",
                     node.name().empty() && node.output_size() ? node.output(0) : node.name(),
                     node.op_type());
}

int64_t int_attribute(const onnx::NodeProto& node, std::string_view name, int64_t otherwise) {
  for (const auto& attribute : node.attribute()) {
    if (attribute.name() == name) return attribute.i();
  }
  return otherwise;
}

std::string operand(const onnx::NodeProto& node, int index) {
  return index < node.input_size() ? node.input(index) : std::string();
}

// The layer whose node is `node`, with a message where it cannot be one.
Result<Layer> layer_at(const Parameters& parameters, onnx::NodeProto* node, onnx::NodeProto* bias_add) {
  Layer layer{node, nullptr, 0, {}, {}};
  const std::string& op = node->op_type();
  std::string bias;
  if (op == "Gemm" || op == "Conv") {
    bias = operand(*node, 2);
    layer.class_axis = op == "Conv" || int_attribute(*node, "transB", 0) != 0 ? 0 : 1;
    if (op == "Conv" && int_attribute(*node, "group", 1) != 1)
      return unsupported(title(*node) + ": a grouped convolution as the last layer");
  } else if (op == "MatMul") {
    layer.class_axis = 1;
    if (bias_add) {
      layer.bias_add = bias_add;
      bias = operand(*bias_add, operand(*bias_add, 0) == node->output(0) ? 1 : 0);
    }
  } else {
    const bool on_codes = op.starts_with("QLinear") || op == "QGemm" || op.ends_with("Integer");
    return unsupported(fmt::format("{} is no layer with classes (Gemm, MatMul or Conv){}", title(*node),
                                   on_codes ? ": layers on codes get no new head, only those between DequantizeLinear and QuantizeLinear do" : ""));
  }
  Result<LayerParameter> weight = parameters.find(operand(*node, 1));
  if (!weight.ok()) return with_prefix(title(*node) + ": its weight: ", weight.error());
  layer.weight = *std::move(weight);
  size_t rank = op == "Conv" ? 3 : 2;
  if (layer.weight.extents.size() < rank)
    return unsupported(fmt::format("{}: its weight has rank {}", title(*node), layer.weight.extents.size()));
  if (bias.empty()) return layer;
  Result<LayerParameter> found = parameters.find(bias);
  if (!found.ok()) return with_prefix(title(*node) + ": its bias: ", found.error());
  layer.bias = *std::move(found);
  return layer;
}

// The Add that gives a product its bias, if `node` feeds one.
onnx::NodeProto* bias_add_of(const Parameters& parameters, onnx::GraphProto& graph, const onnx::NodeProto& node) {
  if (node.op_type() != "MatMul") return nullptr;
  for (auto& user : *graph.mutable_node()) {
    if (user.op_type() != "Add" || user.input_size() != 2) continue;
    for (int i = 0; i < 2; ++i) {
      if (user.input(i) == node.output(0) && parameters.has(user.input(1 - i))) return &user;
    }
  }
  return nullptr;
}

Result<Layer> find_by_name(const Parameters& parameters, onnx::GraphProto& graph, const std::string& wanted) {
  for (auto& node : *graph.mutable_node()) {
    bool is_layer = node.op_type() == "Gemm" || node.op_type() == "MatMul" || node.op_type() == "Conv";
    bool named = node.name() == wanted || (node.output_size() && node.output(0) == wanted);
    if (is_layer && !named) {
      Result<LayerParameter> weight = parameters.find(operand(node, 1));
      named = weight.ok() && (weight->name == wanted || weight->tensor == wanted);
    }
    if (named && (is_layer || node.op_type() != "Constant"))
      return layer_at(parameters, &node, bias_add_of(parameters, graph, node));
  }
  return invalid_input(fmt::format("there is no node, value or weight '{}' to be the head", wanted));
}

Result<Layer> find_before(const Parameters& parameters, const std::string& output) {
  const ProtoNames& names = parameters.names;
  std::string name = output;
  for (std::set<std::string> seen; seen.insert(name).second;) {
    onnx::NodeProto* node = names.producer(name);
    if (node == nullptr) break;
    if (node->op_type() == "Add" && node->input_size() == 2) {
      int bias = parameters.has(node->input(1)) ? 1 : parameters.has(node->input(0)) ? 0 : -1;
      onnx::NodeProto* product = bias < 0 ? nullptr : names.producer(node->input(1 - bias));
      if (product && product->op_type() == "MatMul") return layer_at(parameters, product, node);
      return unsupported(title(*node) + " stands between the last layer and the output");
    }
    if (!passes(*node)) return layer_at(parameters, node, nullptr);
    name = operand(*node, 0);
  }
  return unsupported(fmt::format("no layer leads to output '{}'", output));
}

// All names that depend on `name`.
std::set<std::string> names_behind(const onnx::GraphProto& graph, const std::string& name) {
  std::set<std::string> behind = {name};
  for (const auto& node : graph.node()) {
    bool depends = std::any_of(node.input().begin(), node.input().end(),
                               [&](const std::string& input) { return behind.contains(input); });
    if (depends) behind.insert(node.output().begin(), node.output().end());
  }
  return behind;
}

class Replacer {
 public:
  Replacer(const ModelFile& model, const HeadReplacement& head, const Limits& limits)
      : model_(model), head_(head), limits_(limits) {}

  Status edit(onnx::ModelProto& proto) {
    proto_ = &proto;
    onnx::GraphProto& graph = *proto.mutable_graph();
    ProtoNames names(graph);
    const Parameters parameters{names, model_, limits_};
    const Layer layer = TRY(find(parameters, graph));
    if (!is_float(layer.weight.dtype))
      return unsupported(fmt::format("{}: its weight is {}", title(*layer.node), name_of(layer.weight.dtype)));
    report.old_classes = layer.weight.extents[static_cast<size_t>(layer.class_axis)];
    report.layer = layer.node->name().empty() ? layer.node->output(0) : layer.node->name();
    report.features = operand(*layer.node, 0);
    std::set<std::string> behind = names_behind(graph, layer.node->output(0));
    for (const auto& output : graph.output()) {
      if (report.output.empty() && behind.contains(output.name())) report.output = output.name();
    }
    if (report.output.empty())
      return invalid_input(title(*layer.node) + ": no output of the model depends on it");
    const Tensor weight = TRY(new_weight(layer.weight, layer.class_axis));
    const Tensor bias = layer.bias ? TRY(new_bias(layer)) : Tensor();
    TRY(follow_reshapes(names, graph, behind));
    report.weights.push_back(replace_parameter(proto, *layer.node, layer.weight, weight));
    if (bias.defined()) {
      onnx::NodeProto& user = layer.bias_add ? *layer.bias_add : *layer.node;
      report.weights.push_back(replace_parameter(proto, user, *layer.bias, bias));
    }
    for (auto& [name, tensor, user] : reshapes_) replace_parameter(proto, *user, {name, name, {}, {}, tensor.dtype()}, tensor);
    forget_shapes(graph, behind);
    return {};
  }

  HeadReport report;

 private:
  Result<Layer> find(const Parameters& parameters, onnx::GraphProto& graph) {
    if (!head_.layer.empty()) return find_by_name(parameters, graph, head_.layer);
    Error first;
    bool any = false;
    for (const auto& output : graph.output()) {
      Result<Layer> layer = find_before(parameters, output.name());
      if (layer.ok()) return layer;
      if (!any) first = layer.error();
      any = true;
    }
    first.message += "; name the layer to replace";
    return first;
  }

  Result<Tensor> new_weight(const LayerParameter& old, int class_axis) {
    std::vector<int64_t> extents = old.extents;
    extents[static_cast<size_t>(class_axis)] = head_.classes;
    int64_t inputs = 1;
    for (size_t i = 0; i < extents.size(); ++i) inputs *= static_cast<int>(i) == class_axis ? 1 : extents[i];
    Tensor tensor = TRY(Tensor::allocate(DType::kF32, extents, limits_));
    double bound = 1 / std::sqrt(static_cast<double>(std::max<int64_t>(inputs, 1)));
    Random random(head_.seed);
    random.fill_uniform(tensor.mutable_data<float>(), -bound, bound);
    return convert(tensor, old.dtype);
  }

  // Zeros; undefined where one number serves all classes and stays.
  Result<Tensor> new_bias(const Layer& layer) {
    std::vector<int64_t> extents = layer.bias->extents;
    int64_t elements = 1;
    for (int64_t extent : extents) elements *= extent;
    if (elements == 1 && report.old_classes != 1) return Tensor();
    if (extents.empty() || extents.back() != report.old_classes || elements != report.old_classes) {
      return unsupported(fmt::format("{}: its bias is {}, which is not one number for each of {} classes",
                                     title(*layer.node), to_string(extents), report.old_classes));
    }
    extents.back() = head_.classes;
    return Tensor::zeros(layer.bias->dtype, extents);
  }

  // Constants of Reshapes that hold the number of classes.
  Status follow_reshapes(const ProtoNames& names, onnx::GraphProto& graph,
                         const std::set<std::string>& behind) {
    for (auto& node : *graph.mutable_node()) {
      if (node.op_type() != "Reshape" || !behind.contains(operand(node, 0))) continue;
      onnx::TensorProto* shape = names.tensor(operand(node, 1));
      if (shape == nullptr) continue;
      Tensor old = TRY(read_tensor(*shape, model_, limits_));
      if (old.dtype() != DType::kI64) continue;
      std::vector<int64_t> extents = old.ints();
      int64_t matches = std::ranges::count(extents, report.old_classes);
      if (matches == 0) continue;
      auto last = std::ranges::find(extents.rbegin(), extents.rend(), report.old_classes);
      if (matches > 1 && report.old_classes != 1) {
        return unsupported(
            fmt::format("{}: which extent of {} is that of the classes?", title(node), to_string(extents)));
      }
      *last = head_.classes;
      reshapes_.push_back({operand(node, 1), Tensor::from<int64_t>(old.extents(), extents), &node});
    }
    return {};
  }

  // Declared shapes behind the layer: an output's class extent follows, those in between go.
  void forget_shapes(onnx::GraphProto& graph, const std::set<std::string>& behind) {
    for (auto& output : *graph.mutable_output()) {
      if (!behind.contains(output.name()) || !output.type().tensor_type().has_shape()) continue;
      auto* shape = output.mutable_type()->mutable_tensor_type()->mutable_shape();
      for (int i = shape->dim_size() - 1; i > 0; --i) {
        if (shape->dim(i).has_dim_value() && shape->dim(i).dim_value() == report.old_classes) {
          shape->mutable_dim(i)->set_dim_value(head_.classes);
          break;
        }
      }
    }
    auto* infos = graph.mutable_value_info();
    for (int i = infos->size() - 1; i >= 0; --i) {
      if (behind.contains(infos->Get(i).name())) infos->DeleteSubrange(i, 1);
    }
  }

  struct Reshaped {
    std::string name;
    Tensor tensor;
    onnx::NodeProto* user;
  };

  const ModelFile& model_;
  const HeadReplacement& head_;
  const Limits& limits_;
  onnx::ModelProto* proto_ = nullptr;
  std::vector<Reshaped> reshapes_;
};

}  // namespace

Result<EditedModel> replace_head(const ModelFile& model, const HeadReplacement& head, const Limits& limits) {
  if (head.classes < 1)
    return invalid_input(fmt::format("a head needs at least 1 class, got {}", head.classes));
  Replacer replacer(model, head, limits);
  auto file = edit_model(
      model, [&](onnx::ModelProto& proto) { return replacer.edit(proto); }, limits);
  if (!file.ok()) return file.error();
  return EditedModel{*std::move(file), replacer.report};
}

Result<std::shared_ptr<const ModelFile>> with_metadata(
    const ModelFile& model, const std::vector<std::pair<std::string, std::string>>& entries,
    const Limits& limits) {
  const std::map<std::string, std::string> by_key(entries.begin(), entries.end());
  auto edit = [&](onnx::ModelProto& proto) -> Status {
    for (const auto& [key, value] : by_key) {
      auto* props = proto.mutable_metadata_props();
      auto found =
          std::find_if(props->begin(), props->end(), [&](const auto& entry) { return entry.key() == key; });
      onnx::StringStringEntryProto* entry = found == props->end() ? props->Add() : &*found;
      entry->set_key(key);
      entry->set_value(value);
    }
    return {};
  };
  return edit_model(model, edit, limits);
}

}  // namespace gannet
