#include "frontend/head.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "frontend/edit_model.h"
#include "frontend/proto_names.h"
#include "frontend/tensor_data.h"
#include "ir/base/random.h"

namespace gannet {
namespace {

// What may stand between the last layer and the output, read through operand 0.
constexpr std::string_view kPassed[] = {
    "Softmax", "LogSoftmax", "Sigmoid", "Identity",          "Reshape",     "Flatten",
    "Squeeze", "Unsqueeze",  "Dropout", "GlobalAveragePool", "AveragePool", "ReduceMean",
    "Relu",    "Cast",       "Clip",    "GlobalMaxPool",     "MaxPool"};

struct Layer {
  onnx::NodeProto* node = nullptr;
  onnx::NodeProto* bias_add = nullptr;  // the Add behind a MatMul
  int weight_operand = 1;
  int class_axis = 0;  // of the weight
  std::string bias;    // its name, "" without one
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
Result<Layer> layer_at(const ProtoNames& names, onnx::NodeProto* node, onnx::NodeProto* bias_add) {
  Layer layer{node, nullptr, 1, 0, ""};
  const std::string& op = node->op_type();
  auto weighs = [&](int index) { return names.tensor(operand(*node, index)) != nullptr; };
  if (op == "Gemm" || op == "Conv") {
    layer.bias = operand(*node, 2);
    layer.class_axis = op == "Conv" || int_attribute(*node, "transB", 0) != 0 ? 0 : 1;
    if (op == "Conv" && int_attribute(*node, "group", 1) != 1)
      return unsupported(title(*node) + ": a grouped convolution as the last layer");
  } else if (op == "MatMul") {
    layer.class_axis = 1;
    if (bias_add) {
      layer.bias_add = bias_add;
      layer.bias = operand(*bias_add, operand(*bias_add, 0) == node->output(0) ? 1 : 0);
    }
  } else {
    return unsupported(title(*node) + " is no layer with classes (Gemm, MatMul or Conv)");
  }
  if (!weighs(1)) return unsupported(title(*node) + ": its weight is no tensor of the file");
  size_t rank = op == "Conv" ? 3 : 2;
  if (static_cast<size_t>(names.tensor(operand(*node, 1))->dims_size()) < rank) {
    return unsupported(fmt::format("{}: its weight has rank {}", title(*node),
                                   names.tensor(operand(*node, 1))->dims_size()));
  }
  if (!layer.bias.empty() && !names.tensor(layer.bias))
    return unsupported(title(*node) + ": its bias is no tensor of the file");
  return layer;
}

// The Add that gives a product its bias, if `node` feeds one.
onnx::NodeProto* bias_add_of(const ProtoNames& names, onnx::GraphProto& graph, const onnx::NodeProto& node) {
  if (node.op_type() != "MatMul") return nullptr;
  for (auto& user : *graph.mutable_node()) {
    if (user.op_type() != "Add" || user.input_size() != 2) continue;
    for (int i = 0; i < 2; ++i) {
      if (user.input(i) == node.output(0) && names.tensor(user.input(1 - i))) return &user;
    }
  }
  return nullptr;
}

Result<Layer> find_by_name(const ProtoNames& names, onnx::GraphProto& graph, const std::string& wanted) {
  for (auto& node : *graph.mutable_node()) {
    bool is_layer = node.op_type() == "Gemm" || node.op_type() == "MatMul" || node.op_type() == "Conv";
    bool named = node.name() == wanted || (node.output_size() && node.output(0) == wanted) ||
                 (is_layer && operand(node, 1) == wanted);
    if (named && (is_layer || node.op_type() != "Constant"))
      return layer_at(names, &node, bias_add_of(names, graph, node));
  }
  return invalid_input(fmt::format("there is no node, value or weight '{}' to be the head", wanted));
}

Result<Layer> find_before(const ProtoNames& names, const std::string& output) {
  std::string name = output;
  onnx::NodeProto* bias_add = nullptr;
  for (std::set<std::string> seen; seen.insert(name).second;) {
    onnx::NodeProto* node = names.producer(name);
    if (node == nullptr) break;
    if (node->op_type() == "Add" && node->input_size() == 2) {
      int bias = names.tensor(node->input(1)) ? 1 : names.tensor(node->input(0)) ? 0 : -1;
      onnx::NodeProto* product = bias < 0 ? nullptr : names.producer(node->input(1 - bias));
      if (product && product->op_type() == "MatMul") return layer_at(names, product, node);
      return unsupported(title(*node) + " stands between the last layer and the output");
    }
    if (!passes(*node)) return layer_at(names, node, bias_add);
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
    Layer layer = TRY(find(names, graph));
    const onnx::TensorProto& weight = *names.tensor(operand(*layer.node, 1));
    TensorHeader header = TRY(read_tensor_header(weight, limits_));
    if (!is_float(header.dtype))
      return unsupported(fmt::format("{}: its weight is {}", title(*layer.node), name_of(header.dtype)));
    report.old_classes = header.extents[static_cast<size_t>(layer.class_axis)];
    report.layer = layer.node->name().empty() ? layer.node->output(0) : layer.node->name();
    report.features = operand(*layer.node, 0);
    std::string result = layer.bias_add ? layer.bias_add->output(0) : layer.node->output(0);
    std::set<std::string> behind = names_behind(graph, layer.node->output(0));
    for (const auto& output : graph.output()) {
      if (report.output.empty() && behind.contains(output.name())) report.output = output.name();
    }
    if (report.output.empty())
      return invalid_input(title(*layer.node) + ": no output of the model depends on it");
    // Nodes and tensors may move when one is added, so everything that is read was read before.
    struct Change {
      std::string tensor;
      Tensor value;
      onnx::NodeProto* user;
    };
    std::vector<Change> changes;
    Tensor initial = TRY(new_weight(header, layer.class_axis));
    changes.push_back({operand(*layer.node, 1), initial, layer.node});
    if (!layer.bias.empty()) {
      Result<Tensor> bias = new_bias(names, layer);
      if (!bias.ok()) return bias.error();
      if (bias->elements() > 0)
        changes.push_back({layer.bias, *std::move(bias), layer.bias_add ? layer.bias_add : layer.node});
    }
    TRY(follow_reshapes(names, graph, behind));
    for (Change& change : changes)
      report.weights.push_back(replace(names, change.tensor, change.value, *change.user));
    for (auto& [name, tensor, user] : reshapes_) replace(names, name, tensor, *user);
    for (auto& [name, tensor] : added_) add_initializer(proto, name, tensor);
    forget_shapes(graph, behind);
    return {};
  }

  HeadReport report;

 private:
  Result<Layer> find(const ProtoNames& names, onnx::GraphProto& graph) {
    if (!head_.layer.empty()) return find_by_name(names, graph, head_.layer);
    Error first;
    bool any = false;
    for (const auto& output : graph.output()) {
      Result<Layer> layer = find_before(names, output.name());
      if (layer.ok()) return layer;
      if (!any) first = layer.error();
      any = true;
    }
    first.message += "; name the layer to replace";
    return first;
  }

  Result<Tensor> new_weight(const TensorHeader& header, int class_axis) {
    std::vector<int64_t> extents = header.extents;
    extents[static_cast<size_t>(class_axis)] = head_.classes;
    int64_t inputs = 1;
    for (size_t i = 0; i < extents.size(); ++i) inputs *= static_cast<int>(i) == class_axis ? 1 : extents[i];
    Tensor tensor = TRY(Tensor::allocate(DType::kF32, extents, limits_));
    double bound = 1 / std::sqrt(static_cast<double>(std::max<int64_t>(inputs, 1)));
    Random random(head_.seed);
    random.fill_uniform(tensor.mutable_data<float>(), -bound, bound);
    return convert(tensor, header.dtype);
  }

  // Zeros; an empty tensor where one number serves all classes and stays.
  Result<Tensor> new_bias(const ProtoNames& names, const Layer& layer) {
    TensorHeader header = TRY(read_tensor_header(*names.tensor(layer.bias), limits_));
    std::vector<int64_t> extents = header.extents;
    if (header.elements == 1 && report.old_classes != 1) return Tensor::zeros(header.dtype, {0});
    if (extents.empty() || extents.back() != report.old_classes || header.elements != report.old_classes) {
      return unsupported(fmt::format("{}: its bias is {}, which is not one number for each of {} classes",
                                     title(*layer.node), to_string(extents), report.old_classes));
    }
    extents.back() = head_.classes;
    return Tensor::zeros(header.dtype, extents);
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

  // Gives `user` the tensor in place of `name`, under that name where nothing else uses it.
  std::string replace(const ProtoNames& names, const std::string& name, const Tensor& value,
                      onnx::NodeProto& user) {
    if (names.uses(name) <= 1) {
      set_data(*names.tensor(name), value);
      declare_extents(*proto_->mutable_graph(), name, value.extents());
      return name;
    }
    std::string own = names.unused("head/" + name);
    for (int i = 1; i < user.input_size(); ++i) {
      if (user.input(i) == name) user.set_input(i, own);
    }
    if (user.input(0) == name) user.set_input(0, own);
    added_.emplace_back(own, value);
    return own;
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
  std::vector<std::pair<std::string, Tensor>> added_;
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
  auto edit = [&](onnx::ModelProto& proto) -> Status {
    for (const auto& [key, value] : entries) {
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
