#include "frontend/template_parts.h"
#include "frontend/templates.h"

namespace gannet {
namespace {

std::string add_conv_with_bias(OnnxWriter& model, const std::string& name, const std::string& x,
                               int64_t inputs, int64_t channels) {
  int64_t fan_in = inputs * 9;
  double bound = scaled_deviation(1.0, fan_in);
  std::string weight = model.weight(name + ".weight", {channels, inputs, 3, 3},
                                    Fill::normal(0.0, scaled_deviation(2.0, fan_in)));
  std::string bias = model.weight(name + ".bias", {channels}, Fill::uniform(-bound, bound));
  return model.node("Conv", {x, weight, bias},
                    {{"dilations", std::vector<int64_t>{1, 1}},
                     {"group", int64_t{1}},
                     {"kernel_shape", std::vector<int64_t>{3, 3}},
                     {"pads", std::vector<int64_t>{1, 1, 1, 1}},
                     {"strides", std::vector<int64_t>{1, 1}}});
}

std::string add_halving_pool(OnnxWriter& model, const std::string& x) {
  return model.node("MaxPool", {x},
                    {{"kernel_shape", std::vector<int64_t>{2, 2}}, {"strides", std::vector<int64_t>{2, 2}}});
}

}  // namespace

Result<OnnxWriter> make_cnn(const ImageClassifierOptions& image, const TemplateOptions& options) {
  TRY(check_template_options(options));
  TRY(check_image_options(image));
  if (image.height < 4 || image.width < 4) {
    return invalid_input(fmt::format("image size {}x{} is too small: two poolings by 2 need at least 4x4",
                                     image.height, image.width));
  }
  OnnxWriter model("cnn", options.opset, options.seed);
  std::string x = model.input("input", DType::kF32, {"batch", image.channels, image.height, image.width});
  x = add_conv_with_bias(model, "conv1", x, image.channels, 32);
  x = add_halving_pool(model, model.node("Relu", {x}));
  x = add_conv_with_bias(model, "conv2", x, 32, 64);
  x = add_halving_pool(model, model.node("Relu", {x}));
  x = model.node("Flatten", {x}, {{"axis", int64_t{1}}});
  x = add_dense(model, "dense1", x, 64 * (image.height / 4) * (image.width / 4), 128, 2.0);
  x = model.node("Relu", {x});
  x = add_dense(model, "dense2", x, 128, image.classes, 1.0);
  model.node("Softmax", {x}, {{"axis", int64_t{-1}}}, "probabilities");
  model.output("probabilities", DType::kF32, {"batch", image.classes});
  TRY(model.status());
  return model;
}

}  // namespace gannet
