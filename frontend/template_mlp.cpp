#include "frontend/template_parts.h"
#include "frontend/templates.h"

namespace gannet {
namespace {

constexpr int64_t kMostLayers = 100'000;
constexpr int64_t kMostUnits = 100'000'000;

std::string add_activation(OnnxWriter& model, const std::string& x, LayerActivation activation) {
  switch (activation) {
    case LayerActivation::kNone:
      return x;
    case LayerActivation::kRelu:
      return model.node("Relu", {x});
    case LayerActivation::kLeakyRelu:
      return model.node("LeakyRelu", {x}, {{"alpha", 0.01f}});
    case LayerActivation::kTanh:
      return model.node("Tanh", {x});
    case LayerActivation::kSigmoid:
      return model.node("Sigmoid", {x});
    case LayerActivation::kGelu:
      return add_gelu(model, x);
  }
  return x;
}

// What a layer multiplies its input's mean square by, to make up for what the activation takes away.
double gain2_of(LayerActivation activation) {
  bool halves = activation == LayerActivation::kRelu || activation == LayerActivation::kLeakyRelu ||
                activation == LayerActivation::kGelu;
  return halves ? 2.0 : 1.0;
}

Status check_mlp_options(const MlpOptions& mlp) {
  TRY(check_range("inputs", mlp.inputs, 1, kMostUnits));
  TRY(check_range("outputs", mlp.outputs, 1, kMostUnits));
  TRY(check_range("number of hidden layers", static_cast<int64_t>(mlp.hidden.size()), 0, kMostLayers));
  for (size_t i = 0; i < mlp.hidden.size(); ++i) {
    TRY(check_range(fmt::format("units of layer {}", i + 1), mlp.hidden[i], 1, kMostUnits));
  }
  return {};
}

}  // namespace

Result<OnnxWriter> make_mlp(const MlpOptions& mlp, const TemplateOptions& options) {
  TRY(check_template_options(options));
  TRY(check_mlp_options(mlp));
  OnnxWriter model("mlp", options.opset, options.seed);
  std::string x = model.input("input", DType::kF32, {"batch", mlp.inputs});
  int64_t inputs = mlp.inputs;
  for (size_t i = 0; i < mlp.hidden.size() && model.status().ok(); ++i) {
    std::string name = fmt::format("layer.{}", i);
    model.enter(name);
    x = add_dense(model, name, x, inputs, mlp.hidden[i], gain2_of(mlp.activation));
    x = add_activation(model, x, mlp.activation);
    model.leave();
    inputs = mlp.hidden[i];
  }
  x = add_dense(model, "output", x, inputs, mlp.outputs, 1.0);
  std::string result = mlp.softmax ? "probabilities" : "logits";
  if (mlp.softmax) model.node("Softmax", {x}, {{"axis", int64_t{-1}}});
  model.name_last(result);
  model.output(result, DType::kF32, {"batch", mlp.outputs});
  TRY(model.status());
  return model;
}

}  // namespace gannet
