// Parts that several templates are made of. Each adds nodes to a writer and returns the name of the last
// value.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "frontend/onnx_writer.h"
#include "frontend/templates.h"
#include "ir/base/error.h"

namespace gannet {

// The error for a number outside [low, high]: `hidden is 0, it must be 1 to 65536`.
Status check_range(std::string_view what, int64_t value, int64_t low, int64_t high);
Status check_template_options(const TemplateOptions& options);
Status check_image_options(const ImageClassifierOptions& image);

// sqrt(gain2 / fan_in): the deviation that keeps the second moment, times gain2, through a layer.
double scaled_deviation(double gain2, int64_t fan_in);

// x w^T + b by Gemm; the weight is [units, inputs], as in PyTorch. Biases are uniform within 1 /
// sqrt(inputs).
std::string add_dense(OnnxWriter& model, const std::string& name, const std::string& x, int64_t inputs,
                      int64_t units, double gain2);

// x (1 + erf(x / sqrt 2)) / 2 in single nodes, as PyTorch exports it.
std::string add_gelu(OnnxWriter& model, const std::string& x);

// A value on its way through a convolutional net. `moment` estimates the mean square of an element; batch
// normalization takes its running variance from it.
struct Features {
  std::string value;
  int64_t channels;
  double moment;
};

struct ConvOptions {
  int64_t channels;
  int64_t kernel;
  int64_t stride = 1;
  int64_t padding = 0;
  int64_t groups = 1;
};
// A square convolution without bias, He-initialized: its output has twice the mean square of its input.
Features add_conv(OnnxWriter& model, const std::string& name, const Features& x, const ConvOptions& conv);

// BatchNormalization in inference form. The running variance is near x.moment, the mean near 0, the scale
// near `scale`, each a little different for each channel so that none is trivial.
Features add_batch_norm(OnnxWriter& model, const std::string& name, const Features& x, double scale = 1.0);

// Relu; half of a centred value's mean square is left.
Features add_relu(OnnxWriter& model, const Features& x);

// GlobalAveragePool, Flatten and a Dense layer: the output `logits`.
void add_pooled_classifier(OnnxWriter& model, const std::string& name, const Features& x, int64_t classes);

}  // namespace gannet
