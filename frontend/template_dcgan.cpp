#include <algorithm>

#include "frontend/template_parts.h"
#include "frontend/templates.h"

namespace gannet {
namespace {

constexpr int64_t kLargestStart = 7;
constexpr int64_t kMostFeatures = 16384;
constexpr int64_t kMostChannels = 4096;
constexpr int64_t kMostLatent = 1 << 20;
constexpr int64_t kMostClasses = 1 << 20;
// All convolutions of the paper start with this deviation.
constexpr double kDeviation = 0.02;
constexpr double kLeak = 0.2;

Status check_dcgan_options(const DcganOptions& dcgan) {
  TRY(check_range("image size", dcgan.image_size, kSmallestDcganImage, kLargestDcganImage));
  TRY(check_range("channels", dcgan.channels, 1, kMostChannels));
  TRY(check_range("features", dcgan.features, 1, kMostFeatures));
  TRY(check_range("classes", dcgan.classes, 0, kMostClasses));
  return check_range("latent", dcgan.latent, 1, kMostLatent);
}

// The vector of the class that input `label` gives, [batch, width].
std::string add_class_vector(OnnxWriter& model, int64_t classes, int64_t width, double deviation) {
  const std::string table = model.weight("embedding.weight", {classes, width}, Fill::normal(0.0, deviation));
  return model.node("Gather", {table, model.input("label", DType::kI64, {"batch"})}, {{"axis", int64_t{0}}});
}

// Channels of the feature map after `halvings` halvings of the image.
int64_t channels_at(const DcganOptions& dcgan, size_t halvings) {
  return halvings == 0 ? dcgan.channels : dcgan.features << std::min<size_t>(halvings - 1, 3);
}

std::vector<WrittenAttr> convolution_attrs(int64_t kernel, int64_t stride, int64_t padding) {
  return {{"dilations", std::vector<int64_t>{1, 1}},
          {"group", int64_t{1}},
          {"kernel_shape", std::vector<int64_t>{kernel, kernel}},
          {"pads", std::vector<int64_t>{padding, padding, padding, padding}},
          {"strides", std::vector<int64_t>{stride, stride}}};
}

// `taps` weights of each input channel meet in one output element.
Features add_convolution(OnnxWriter& model, std::string_view op, const std::string& name, const Features& x,
                         int64_t channels, int64_t kernel, int64_t taps,
                         const std::vector<WrittenAttr>& attrs) {
  bool transposed = op == "ConvTranspose";
  int64_t rows = transposed ? x.channels : channels, columns = transposed ? channels : x.channels;
  std::string weight =
      model.weight(name + ".weight", {rows, columns, kernel, kernel}, Fill::normal(0.0, kDeviation));
  double moment = x.moment * static_cast<double>(x.channels * taps) * kDeviation * kDeviation;
  return {model.node(op, {x.value, weight}, attrs), channels, moment};
}

// To `extent` by a 4x4 kernel of stride 2: 2 in + output_padding.
Features add_doubling(OnnxWriter& model, const std::string& name, const Features& x, int64_t channels,
                      int64_t output_padding) {
  std::vector<WrittenAttr> attrs = convolution_attrs(4, 2, 1);
  if (output_padding != 0)
    attrs.push_back({"output_padding", std::vector<int64_t>{output_padding, output_padding}});
  return add_convolution(model, "ConvTranspose", name, x, channels, 4, 4, attrs);
}

Features add_leaky_relu(OnnxWriter& model, const Features& x) {
  std::string y = model.node("LeakyRelu", {x.value}, {{"alpha", static_cast<float>(kLeak)}});
  return {y, x.channels, x.moment * 0.5 * (1.0 + kLeak * kLeak)};
}

}  // namespace

std::vector<int64_t> dcgan_extents(int64_t image_size) {
  std::vector<int64_t> extents = {image_size};
  while (extents.back() > kLargestStart) extents.push_back(extents.back() / 2);
  return extents;
}

Result<OnnxWriter> make_dcgan_generator(const DcganOptions& dcgan, const TemplateOptions& options) {
  TRY(check_template_options(options));
  TRY(check_dcgan_options(dcgan));
  std::vector<int64_t> extents = dcgan_extents(dcgan.image_size);
  OnnxWriter model("dcgan-generator", options.opset, options.seed);
  Features x{model.input("z", DType::kF32, {"batch", dcgan.latent, int64_t{1}, int64_t{1}}), dcgan.latent,
             1.0};
  if (dcgan.classes > 0) {
    const std::string of_class = add_class_vector(model, dcgan.classes, dcgan.latent, 1.0);
    const std::string map = model.node("Reshape", {of_class, model.ints({-1, dcgan.latent, 1, 1})});
    x = {model.node("Concat", {x.value, map}, {{"axis", int64_t{1}}}), 2 * dcgan.latent, 1.0};
  }
  size_t level = extents.size() - 1;
  x = add_convolution(model, "ConvTranspose", "main.0.conv", x, channels_at(dcgan, level), extents[level], 1,
                      convolution_attrs(extents[level], 1, 0));
  for (int64_t number = 0; level > 0; ++number) {
    x = add_relu(model, add_batch_norm(model, fmt::format("main.{}.norm", number), x));
    --level;
    x = add_doubling(model, fmt::format("main.{}.conv", number + 1), x, channels_at(dcgan, level),
                     extents[level] % 2);
  }
  model.node("Tanh", {x.value}, {}, "image");
  model.output("image", DType::kF32, {"batch", dcgan.channels, dcgan.image_size, dcgan.image_size});
  TRY(model.status());
  return model;
}

Result<OnnxWriter> make_dcgan_discriminator(const DcganOptions& dcgan, const TemplateOptions& options) {
  TRY(check_template_options(options));
  TRY(check_dcgan_options(dcgan));
  std::vector<int64_t> extents = dcgan_extents(dcgan.image_size);
  OnnxWriter model("dcgan-discriminator", options.opset, options.seed);
  Features x{model.input("image", DType::kF32, {"batch", dcgan.channels, dcgan.image_size, dcgan.image_size}),
             dcgan.channels, 1.0};
  for (size_t level = 1; level < extents.size(); ++level) {
    std::string name = fmt::format("main.{}", level - 1);
    x = add_convolution(model, "Conv", name + ".conv", x, channels_at(dcgan, level), 4, 16,
                        convolution_attrs(4, 2, 1));
    if (level > 1) x = add_batch_norm(model, name + ".norm", x);
    x = add_leaky_relu(model, x);
  }
  int64_t last = extents.back();
  std::string name = fmt::format("main.{}.conv", extents.size() - 1);
  const Features seen = x;
  x = add_convolution(model, "Conv", name, x, 1, last, last * last, convolution_attrs(last, 1, 0));
  std::string logit = model.node("Flatten", {x.value}, {{"axis", int64_t{1}}});
  if (dcgan.classes > 0) {
    const std::string flat = model.node("Flatten", {seen.value}, {{"axis", int64_t{1}}});
    const std::string of_class =
        add_class_vector(model, dcgan.classes, seen.channels * last * last, kDeviation);
    const std::string product = model.node("Mul", {flat, of_class});
    logit = model.node(
        "Add", {logit, model.node("ReduceSum", {product, model.ints({1})}, {{"keepdims", int64_t{1}}})});
  }
  std::string result = dcgan.sigmoid ? "probability" : "logit";
  if (dcgan.sigmoid) model.node("Sigmoid", {logit});
  model.name_last(result);
  model.output(result, DType::kF32, {"batch", int64_t{1}});
  TRY(model.status());
  return model;
}

}  // namespace gannet
