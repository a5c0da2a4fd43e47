#include "frontend/template_parts.h"

#include <cmath>

namespace gannet {
namespace {

constexpr int64_t kMostImageExtent = 65536;
constexpr int64_t kMostChannels = 65536;
constexpr int64_t kMostClasses = 10'000'000;

}  // namespace

Status check_range(std::string_view what, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return {};
  return invalid_input(fmt::format("{} is {}, it must be {} to {}", what, value, low, high));
}

Status check_template_options(const TemplateOptions& options) {
  return check_range("opset", options.opset, kOldestWrittenOpset, kNewestWrittenOpset);
}

Status check_image_options(const ImageClassifierOptions& image) {
  TRY(check_range("image height", image.height, 1, kMostImageExtent));
  TRY(check_range("image width", image.width, 1, kMostImageExtent));
  TRY(check_range("channels", image.channels, 1, kMostChannels));
  return check_range("classes", image.classes, 1, kMostClasses);
}

double scaled_deviation(double gain2, int64_t fan_in) {
  return std::sqrt(gain2 / static_cast<double>(fan_in));
}

std::string add_dense(OnnxWriter& model, const std::string& name, const std::string& x, int64_t inputs,
                      int64_t units, double gain2) {
  double bound = scaled_deviation(1.0, inputs);
  std::string weight =
      model.weight(name + ".weight", {units, inputs}, Fill::normal(0.0, scaled_deviation(gain2, inputs)));
  std::string bias = model.weight(name + ".bias", {units}, Fill::uniform(-bound, bound));
  return model.node("Gemm", {x, weight, bias}, {{"transB", int64_t{1}}});
}

std::string add_gelu(OnnxWriter& model, const std::string& x) {
  std::string scaled = model.node("Div", {x, model.scalar(1.4142135f)});
  std::string error_function = model.node("Erf", {scaled});
  std::string shifted = model.node("Add", {error_function, model.scalar(1.0f)});
  std::string product = model.node("Mul", {x, shifted});
  return model.node("Mul", {product, model.scalar(0.5f)});
}

Features add_conv(OnnxWriter& model, const std::string& name, const Features& x, const ConvOptions& conv) {
  int64_t k = conv.kernel, p = conv.padding, inputs = x.channels / conv.groups;
  std::string weight = model.weight(name + ".weight", {conv.channels, inputs, k, k},
                                    Fill::normal(0.0, scaled_deviation(2.0, inputs * k * k)));
  std::string y = model.node("Conv", {x.value, weight},
                             {{"dilations", std::vector<int64_t>{1, 1}},
                              {"group", conv.groups},
                              {"kernel_shape", std::vector<int64_t>{k, k}},
                              {"pads", std::vector<int64_t>{p, p, p, p}},
                              {"strides", std::vector<int64_t>{conv.stride, conv.stride}}});
  return {y, conv.channels, 2.0 * x.moment};
}

Features add_batch_norm(OnnxWriter& model, const std::string& name, const Features& x, double scale) {
  std::vector<int64_t> extents = {x.channels};
  std::string gamma = model.weight(name + ".weight", extents, Fill::uniform(0.9 * scale, 1.1 * scale));
  std::string beta = model.weight(name + ".bias", extents, Fill::normal(0.0, 0.05));
  std::string mean =
      model.weight(name + ".running_mean", extents, Fill::normal(0.0, 0.05 * std::sqrt(x.moment)));
  std::string variance =
      model.weight(name + ".running_var", extents, Fill::uniform(0.8 * x.moment, 1.2 * x.moment));
  std::string y = model.node("BatchNormalization", {x.value, gamma, beta, mean, variance},
                             {{"epsilon", 1e-5f}, {"momentum", 0.9f}});
  return {y, x.channels, scale * scale};
}

Features add_relu(OnnxWriter& model, const Features& x) {
  return {model.node("Relu", {x.value}), x.channels, 0.5 * x.moment};
}

void add_pooled_classifier(OnnxWriter& model, const std::string& name, const Features& x, int64_t classes) {
  std::string pooled = model.node("GlobalAveragePool", {x.value});
  std::string flat = model.node("Flatten", {pooled}, {{"axis", int64_t{1}}});
  add_dense(model, name, flat, x.channels, classes, 1.0);
  model.name_last("logits");
  model.output("logits", DType::kF32, {"batch", classes});
}

}  // namespace gannet
