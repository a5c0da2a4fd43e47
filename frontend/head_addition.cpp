#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "frontend/edit_model.h"
#include "frontend/head.h"
#include "frontend/proto_names.h"
#include "frontend/tensor_data.h"
#include "ir/base/random.h"

namespace gannet {
namespace {

constexpr int64_t kAxesAreOperands = 13;  // of ReduceSum, Squeeze and Unsqueeze, since this opset

class HeadBuilder {
 public:
  HeadBuilder(onnx::ModelProto& model, const Type& features, const HeadAddition& head)
      : model_(model),
        graph_(*model.mutable_graph()),
        names_(graph_),
        features_(features),
        head_(head),
        opset_(opset_of(model)) {}

  Status build(const std::string& features, HeadReport& report) {
    std::string mask =
        features_.rank() == 3 && head_.pooling == Pooling::kMean ? mask_input() : std::string();
    report.features = pooled(features, mask);
    if (features_.rank() == 3)
      report.pooling = head_.pooling == Pooling::kMean ? "the mean of tokens" : "the first token";
    const Dim& width = (*features_.shape)[static_cast<size_t>(features_.rank() == 3 ? 2 : 1)];
    if (!width.is_constant()) {
      return unsupported(fmt::format("output '{}' is {}: the number of features must be known", features,
                                     to_string(features_)));
    }
    int64_t inputs = width.constant();
    Tensor weight = TRY(Tensor::allocate(DType::kF32, {head_.classes, inputs}));
    double bound = 1 / std::sqrt(static_cast<double>(std::max<int64_t>(inputs, 1)));
    Random random(head_.seed);
    random.fill_uniform(weight.mutable_data<float>(), -bound, bound);
    std::string w = tensor("classifier.weight", TRY(convert(weight, features_.dtype)));
    std::string bias = tensor("classifier.bias", Tensor::zeros(features_.dtype, {head_.classes}));
    onnx::NodeProto& gemm = node("Gemm", {report.features, w, bias}, "logits");
    set_int(gemm, "transB", 1);
    report.output = gemm.output(0);
    report.layer = gemm.name();
    report.weights = {w, bias};
    return {};
  }

 private:
  std::string mask_input() const {
    for (const auto& input : graph_.input()) {
      if (input.name() == head_.mask) return input.name();
    }
    return {};
  }

  std::string pooled(const std::string& features, const std::string& mask) {
    if (features_.rank() == 2) return features;
    if (features_.rank() > 3) {
      std::string mean = node("GlobalAveragePool", {features}, "head/mean").output(0);
      onnx::NodeProto& flat = node("Flatten", {mean}, "head/features");
      set_int(flat, "axis", 1);
      return flat.output(0);
    }
    if (head_.pooling == Pooling::kFirstToken) {
      std::string first = tensor("head/first", Tensor::scalar<int64_t>(0));
      onnx::NodeProto& gather = node("Gather", {features, first}, "head/features");
      set_int(gather, "axis", 1);
      return gather.output(0);
    }
    if (mask.empty()) {
      onnx::NodeProto& mean = node("ReduceMean", {features}, "head/features");
      constexpr int64_t kMeanAxesAreOperands = 18;
      set_axes(mean, {1}, kMeanAxesAreOperands);
      set_int(mean, "keepdims", 0);
      return mean.output(0);
    }
    return masked_mean(features, mask);
  }

  // sum(features * mask) / max(sum(mask), 1)
  std::string masked_mean(const std::string& features, const std::string& mask) {
    onnx::NodeProto& cast = node("Cast", {mask}, "head/mask");
    set_int(cast, "to", static_cast<int64_t>(features_.dtype));
    std::string numbers = cast.output(0);
    onnx::NodeProto& wide = node("Unsqueeze", {numbers}, "head/wide_mask");
    set_axes(wide, {2}, kAxesAreOperands);
    std::string wide_mask = wide.output(0);
    std::string masked = node("Mul", {features, wide_mask}, "head/masked").output(0);
    onnx::NodeProto& sum = node("ReduceSum", {masked}, "head/sum");
    set_axes(sum, {1}, kAxesAreOperands);
    set_int(sum, "keepdims", 0);
    std::string total = sum.output(0);
    onnx::NodeProto& count = node("ReduceSum", {numbers}, "head/count");
    set_axes(count, {1}, kAxesAreOperands);
    set_int(count, "keepdims", 1);
    std::string tokens = count.output(0);
    std::string one = tensor("head/one", Tensor::scalar_of(features_.dtype, 1));
    std::string divisor = node("Max", {tokens, one}, "head/divisor").output(0);
    return node("Div", {total, divisor}, "head/features").output(0);
  }

  onnx::NodeProto& node(const std::string& op, const std::vector<std::string>& operands,
                        const std::string& result) {
    std::string name = names_.unused(result);
    names_.all.insert(name);
    onnx::NodeProto& made = *graph_.add_node();
    made.set_op_type(op);
    made.set_name(name);
    for (const auto& input : operands) made.add_input(input);
    made.add_output(name);
    return made;
  }

  std::string tensor(const std::string& wanted, const Tensor& value) {
    std::string name = names_.unused(wanted);
    names_.all.insert(name);
    add_initializer(model_, name, value);
    return name;
  }

  static void set_int(onnx::NodeProto& node, const std::string& name, int64_t value) {
    onnx::AttributeProto& attribute = *node.add_attribute();
    attribute.set_name(name);
    attribute.set_type(onnx::AttributeProto::INT);
    attribute.set_i(value);
  }

  void set_axes(onnx::NodeProto& node, const std::vector<int64_t>& axes, int64_t operands_since) {
    if (opset_ >= operands_since) {
      std::string name = names_.unused("head/axes");
      names_.all.insert(name);
      add_initializer(model_, name, Tensor::of_ints(axes));
      node.add_input(name);
      return;
    }
    onnx::AttributeProto& attribute = *node.add_attribute();
    attribute.set_name("axes");
    attribute.set_type(onnx::AttributeProto::INTS);
    for (int64_t axis : axes) attribute.add_ints(axis);
  }

  onnx::ModelProto& model_;
  onnx::GraphProto& graph_;
  ProtoNames names_;
  const Type& features_;
  const HeadAddition& head_;
  int64_t opset_;
};

void add_used(const onnx::GraphProto& graph, std::set<std::string>& used) {
  for (const auto& node : graph.node()) {
    used.insert(node.input().begin(), node.input().end());
    for (const auto& attribute : node.attribute()) {
      if (attribute.has_g()) add_used(attribute.g(), used);
      for (const auto& inner : attribute.graphs()) add_used(inner, used);
    }
  }
  for (const auto& output : graph.output()) used.insert(output.name());
}

// Drops nodes of the top graph that no output depends on, and tensors that nothing uses. Inputs stay.
void drop_unused(onnx::GraphProto& graph) {
  std::set<std::string> needed;
  for (const auto& output : graph.output()) needed.insert(output.name());
  auto* nodes = graph.mutable_node();
  for (int i = nodes->size() - 1; i >= 0; --i) {
    const onnx::NodeProto& node = nodes->Get(i);
    bool wanted = std::any_of(node.output().begin(), node.output().end(),
                              [&](const std::string& name) { return needed.contains(name); });
    if (!wanted) {
      nodes->DeleteSubrange(i, 1);
      continue;
    }
    onnx::GraphProto alone;
    *alone.add_node() = node;
    add_used(alone, needed);
  }
  auto drop = [&](auto* entries) {
    for (int i = entries->size() - 1; i >= 0; --i) {
      if (!needed.contains(entries->Get(i).name())) entries->DeleteSubrange(i, 1);
    }
  };
  std::set<std::string> before;
  for (const auto& tensor : graph.initializer()) before.insert(tensor.name());
  drop(graph.mutable_initializer());
  std::set<std::string> after;
  for (const auto& tensor : graph.initializer()) after.insert(tensor.name());
  auto* inputs = graph.mutable_input();
  for (int i = inputs->size() - 1; i >= 0; --i) {
    const std::string& name = inputs->Get(i).name();
    if (before.contains(name) && !after.contains(name)) inputs->DeleteSubrange(i, 1);
  }
  std::set<std::string> results;
  for (const auto& node : graph.node()) results.insert(node.output().begin(), node.output().end());
  needed = results;
  drop(graph.mutable_value_info());
}

Result<size_t> choose_features(const Graph& graph, const std::string& wanted) {
  for (size_t i = 0; i < graph.outputs.size(); ++i) {
    const GraphOutput& output = graph.outputs[i];
    const Type& type = output.value->type;
    bool fits = type.is_tensor() && is_float(type.dtype) && type.rank() >= 2;
    if (wanted.empty() && fits) return i;
    if (wanted != output.name || wanted.empty()) continue;
    if (!fits)
      return invalid_input(
          fmt::format("output '{}' is {}, a head takes floating point features of rank 2 or more", wanted,
                      to_string(type)));
    return i;
  }
  if (wanted.empty())
    return invalid_input("the model has no floating point output of rank 2 or more for a head");
  return invalid_input(fmt::format("the model has no output '{}'", wanted));
}

// `logits` as the only output, with the batch extent of the features.
void make_only_output(onnx::GraphProto& graph, const std::string& features, const std::string& logits,
                      DType dtype, int64_t classes) {
  onnx::ValueInfoProto info;
  info.set_name(logits);
  auto* type = info.mutable_type()->mutable_tensor_type();
  type->set_elem_type(static_cast<int>(dtype));
  auto* batch = type->mutable_shape()->add_dim();
  for (const auto& output : graph.output()) {
    const auto& shape = output.type().tensor_type().shape();
    if (output.name() == features && shape.dim_size() > 0) *batch = shape.dim(0);
  }
  type->mutable_shape()->add_dim()->set_dim_value(classes);
  graph.clear_output();
  *graph.add_output() = info;
}

}  // namespace

Result<EditedModel> add_head(const ImportedModel& encoder, const HeadAddition& head, const Limits& limits) {
  if (head.classes < 1)
    return invalid_input(fmt::format("a head needs at least 1 class, got {}", head.classes));
  const std::string prefix = encoder.source->path + ": ";
  Result<size_t> index = choose_features(*encoder.graph, head.output);
  if (!index.ok()) return with_prefix(prefix, index.error());
  const GraphOutput& features = encoder.graph->outputs[*index];
  const Type type = features.value->type;
  HeadReport report;
  auto edit = [&](onnx::ModelProto& proto) -> Status {
    HeadBuilder builder(proto, type, head);
    TRY(builder.build(features.name, report));
    onnx::GraphProto& graph = *proto.mutable_graph();
    make_only_output(graph, features.name, report.output, type.dtype, head.classes);
    drop_unused(graph);
    return {};
  };
  Result<std::shared_ptr<const ModelFile>> file = edit_model(*encoder.source, edit, limits);
  if (!file.ok()) return file.error();
  return EditedModel{*std::move(file), report};
}

}  // namespace gannet
