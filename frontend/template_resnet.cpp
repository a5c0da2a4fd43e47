#include <vector>

#include "frontend/template_parts.h"
#include "frontend/templates.h"

namespace gannet {
namespace {

struct Stage {
  int64_t channels;
  int64_t blocks;
  int64_t stride;
};

struct ResnetKind {
  bool large_stem;  // 7x7 with stride 2 and a pooling, else 3x3
  bool bottleneck;
  std::vector<Stage> stages;
};

Result<ResnetKind> kind_of(int64_t depth) {
  if (depth == 8) return ResnetKind{false, false, {{16, 1, 1}, {32, 1, 2}, {64, 1, 2}}};
  if (depth == 18) return ResnetKind{true, false, {{64, 2, 1}, {128, 2, 2}, {256, 2, 2}, {512, 2, 2}}};
  if (depth == 50) return ResnetKind{true, true, {{64, 3, 1}, {128, 4, 2}, {256, 6, 2}, {512, 3, 2}}};
  return invalid_input(fmt::format("no resnet of depth {}: there are 8, 18 and 50", depth));
}

Features add_conv_norm(OnnxWriter& model, const std::string& conv, const std::string& norm, const Features& x,
                       const ConvOptions& options, double scale = 1.0) {
  return add_batch_norm(model, norm, add_conv(model, conv, x, options), scale);
}

// The last batch normalization of a branch has half the scale, so that sums of many blocks grow slowly.
constexpr double kBranchScale = 0.5;

Features add_basic_branch(OnnxWriter& model, const std::string& name, const Features& x, int64_t channels,
                          int64_t stride) {
  Features y =
      add_relu(model, add_conv_norm(model, name + ".conv1", name + ".bn1", x, {channels, 3, stride, 1}));
  return add_conv_norm(model, name + ".conv2", name + ".bn2", y, {channels, 3, 1, 1}, kBranchScale);
}

Features add_bottleneck_branch(OnnxWriter& model, const std::string& name, const Features& x,
                               int64_t channels, int64_t stride) {
  Features y = add_relu(model, add_conv_norm(model, name + ".conv1", name + ".bn1", x, {channels, 1}));
  y = add_relu(model, add_conv_norm(model, name + ".conv2", name + ".bn2", y, {channels, 3, stride, 1}));
  return add_conv_norm(model, name + ".conv3", name + ".bn3", y, {4 * channels, 1}, kBranchScale);
}

Features add_block(OnnxWriter& model, const std::string& name, const Features& x, bool bottleneck,
                   int64_t channels, int64_t stride) {
  model.enter(name);
  Features branch = bottleneck ? add_bottleneck_branch(model, name, x, channels, stride)
                               : add_basic_branch(model, name, x, channels, stride);
  Features shortcut = x;
  bool projected = stride != 1 || branch.channels != x.channels;
  if (projected) {
    shortcut = add_conv_norm(model, name + ".downsample.0", name + ".downsample.1", x,
                             {branch.channels, 1, stride, 0});
  }
  std::string sum = model.node("Add", {branch.value, shortcut.value});
  std::string result = model.node("Relu", {sum});
  model.leave();
  // A projected shortcut is centred, so Relu halves the sum's mean square; an identity is positive, and keeps
  // nearly all.
  double moment = branch.moment + shortcut.moment;
  return {result, branch.channels, projected ? 0.5 * moment : moment - 0.4 * branch.moment};
}

Features add_stem(OnnxWriter& model, const Features& x, const ResnetKind& kind) {
  if (!kind.large_stem) {
    return add_relu(model, add_conv_norm(model, "conv1", "bn1", x, {kind.stages[0].channels, 3, 1, 1}));
  }
  Features y = add_relu(model, add_conv_norm(model, "conv1", "bn1", x, {64, 7, 2, 3}));
  y.value = model.node("MaxPool", {y.value},
                       {{"kernel_shape", std::vector<int64_t>{3, 3}},
                        {"pads", std::vector<int64_t>{1, 1, 1, 1}},
                        {"strides", std::vector<int64_t>{2, 2}}});
  y.moment *= 4.0;  // the maximum of nine correlated elements is about twice as large
  return y;
}

}  // namespace

Result<OnnxWriter> make_resnet(int64_t depth, const ImageClassifierOptions& image,
                               const TemplateOptions& options) {
  ResnetKind kind = TRY(kind_of(depth));
  TRY(check_template_options(options));
  TRY(check_image_options(image));
  OnnxWriter model(fmt::format("resnet{}", depth), options.opset, options.seed);
  Features x{model.input("input", DType::kF32, {"batch", image.channels, image.height, image.width}),
             image.channels, 1.0};
  x = add_stem(model, x, kind);
  for (size_t s = 0; s < kind.stages.size(); ++s) {
    const Stage& stage = kind.stages[s];
    for (int64_t block = 0; block < stage.blocks; ++block) {
      std::string name = fmt::format("layer{}.{}", s + 1, block);
      x = add_block(model, name, x, kind.bottleneck, stage.channels, block == 0 ? stage.stride : 1);
    }
  }
  add_pooled_classifier(model, "fc", x, image.classes);
  TRY(model.status());
  return model;
}

}  // namespace gannet
