#include <array>

#include "frontend/template_parts.h"
#include "frontend/templates.h"

namespace gannet {
namespace {

struct Stage {
  int64_t expansion;
  int64_t channels;
  int64_t blocks;
  int64_t stride;
};

// Table 2 of the paper.
constexpr std::array<Stage, 7> kStages = {{{1, 16, 1, 1},
                                           {6, 24, 2, 2},
                                           {6, 32, 3, 2},
                                           {6, 64, 4, 2},
                                           {6, 96, 3, 1},
                                           {6, 160, 3, 2},
                                           {6, 320, 1, 1}}};
constexpr int64_t kStemChannels = 32;
constexpr int64_t kLastChannels = 1280;

Features add_conv_norm(OnnxWriter& model, const std::string& name, const Features& x,
                       const ConvOptions& conv) {
  return add_batch_norm(model, name + ".1", add_conv(model, name + ".0", x, conv));
}

// Convolution, batch normalization and ReLU6, which leaves a centred value as Relu does.
Features add_conv_norm_relu6(OnnxWriter& model, const std::string& name, const Features& x,
                             const ConvOptions& conv) {
  Features y = add_conv_norm(model, name, x, conv);
  return {model.node("Clip", {y.value, model.scalar(0.0f), model.scalar(6.0f)}), y.channels, 0.5 * y.moment};
}

Features add_inverted_residual(OnnxWriter& model, const std::string& name, const Features& x,
                               const Stage& stage, int64_t stride) {
  int64_t expanded = x.channels * stage.expansion;
  model.enter(name);
  Features y = x;
  if (stage.expansion != 1) y = add_conv_norm_relu6(model, name + ".expand", y, {expanded, 1});
  y = add_conv_norm_relu6(model, name + ".depthwise", y, {expanded, 3, stride, 1, expanded});
  y = add_conv_norm(model, name + ".project", y, {stage.channels, 1});
  if (stride == 1 && stage.channels == x.channels) {
    y = {model.node("Add", {x.value, y.value}), y.channels, x.moment + y.moment};
  }
  model.leave();
  return y;
}

}  // namespace

Result<OnnxWriter> make_mobilenet_v2(const ImageClassifierOptions& image, const TemplateOptions& options) {
  TRY(check_template_options(options));
  TRY(check_image_options(image));
  OnnxWriter model("mobilenet-v2", options.opset, options.seed);
  Features x{model.input("input", DType::kF32, {"batch", image.channels, image.height, image.width}),
             image.channels, 1.0};
  x = add_conv_norm_relu6(model, "features.0", x, {kStemChannels, 3, 2, 1});
  int64_t number = 1;
  for (const Stage& stage : kStages) {
    for (int64_t block = 0; block < stage.blocks; ++block) {
      x = add_inverted_residual(model, fmt::format("features.{}", number++), x, stage,
                                block == 0 ? stage.stride : 1);
    }
  }
  x = add_conv_norm_relu6(model, fmt::format("features.{}", number), x, {kLastChannels, 1});
  add_pooled_classifier(model, "classifier", x, image.classes);
  TRY(model.status());
  return model;
}

}  // namespace gannet
