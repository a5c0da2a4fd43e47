// ONNX models with random weights from templates, so that work can start without a trained model. Batch (and
// sequence) are symbolic. Each template returns a model ready to be saved, or says which numbers do not go
// together.
#pragma once

#include <cstdint>
#include <vector>

#include "frontend/onnx_writer.h"
#include "ir/base/error.h"

namespace gannet {

struct TemplateOptions {
  uint64_t seed = 0;
  int64_t opset = 17;  // kOldestWrittenOpset to kNewestWrittenOpset
};

// BERT as PyTorch exports it, LayerNormalization as one node from opset 17 on. Inputs input_ids,
// attention_mask and token_type_ids, i64 [batch, seq]. Weights are normal with deviation 0.02, biases zero.
struct BertOptions {
  int64_t layers = 2;
  int64_t hidden = 128;
  int64_t heads = 2;
  int64_t intermediate = 0;  // 0 means 4 * hidden
  int64_t vocabulary = 30522;
  int64_t max_positions = 512;
  int64_t type_vocabulary = 2;
  int64_t labels = 2;  // of the classifier
};
// Output logits [batch, labels].
Result<OnnxWriter> make_bert_classifier(const BertOptions& bert, const TemplateOptions& options);
// Outputs last_hidden_state [batch, seq, hidden] and pooler_output [batch, hidden].
Result<OnnxWriter> make_bert_encoder(const BertOptions& bert, const TemplateOptions& options);

// Input `input`, f32 [batch, channels, height, width]; output [batch, classes].
struct ImageClassifierOptions {
  int64_t height = 128;
  int64_t width = 128;
  int64_t channels = 3;
  int64_t classes = 10;
};
// Conv32-ReLU-MaxPool-Conv64-ReLU-MaxPool-Flatten-Dense128-ReLU-Dense-Softmax; output probabilities.
// The convolutions are 3x3 and keep the size, the poolings halve it; at least 4x4 pixels.
Result<OnnxWriter> make_cnn(const ImageClassifierOptions& image, const TemplateOptions& options);
// Residual nets of He et al., "Deep residual learning for image recognition" (2016); output logits. Depth 8
// is the CIFAR kind (3x3 stem; stages of 16, 32, 64, one block each), 18 and 50 the ImageNet kind.
// BatchNormalization is in inference form; its statistics fit the random weights, so that activations are of
// order one.
Result<OnnxWriter> make_resnet(int64_t depth, const ImageClassifierOptions& image,
                               const TemplateOptions& options);
// Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks" (2018), width 1; output logits.
Result<OnnxWriter> make_mobilenet_v2(const ImageClassifierOptions& image, const TemplateOptions& options);

// Radford, Metz and Chintala, "Unsupervised representation learning with deep convolutional GANs" (2016). The
// extents of the discriminator halve, rounded down, until they are at most 7; the generator walks the same
// extents upward, with output_padding where one was odd, so that every image size comes out exactly.
struct DcganOptions {
  int64_t image_size = 64;  // kSmallestDcganImage to kLargestDcganImage
  int64_t channels = 3;
  int64_t features = 64;  // channels at half the image size; they double with each halving, up to 8 times
  int64_t latent = 100;   // of the generator
  bool sigmoid = false;   // of the discriminator: end in a probability
  int64_t classes = 0;    // of both: how many there are; 0: the models take none
};
inline constexpr int64_t kSmallestDcganImage = 28;
inline constexpr int64_t kLargestDcganImage = 128;
// The extents from the image down to the smallest feature map: 100, 50, 25, 12, 6.
std::vector<int64_t> dcgan_extents(int64_t image_size);
// Input z [batch, latent, 1, 1]; output image [batch, channels, size, size] in (-1, 1). With classes also
// `label`, i64 [batch], whose vector of `latent` numbers stands beside z (Mirza and Osindero, "Conditional
// generative adversarial nets", 2014).
Result<OnnxWriter> make_dcgan_generator(const DcganOptions& dcgan, const TemplateOptions& options);
// Input image; output logit (or probability) [batch, 1]. With classes also `label`: the product of its vector
// with the last features is added to the logit (Miyato and Koyama, "cGANs with projection discriminator",
// 2018).
Result<OnnxWriter> make_dcgan_discriminator(const DcganOptions& dcgan, const TemplateOptions& options);

enum class LayerActivation { kNone, kRelu, kLeakyRelu, kTanh, kSigmoid, kGelu };
// Gemm nodes with an activation behind each but the last. Input `input` [batch, inputs]; output logits (or,
// with softmax, probabilities) [batch, outputs]. He or Glorot weights and small random biases keep the
// activations of chains of thousands of layers of order one.
struct MlpOptions {
  int64_t inputs = 784;
  std::vector<int64_t> hidden = {128, 64};  // units of each hidden layer
  int64_t outputs = 10;
  LayerActivation activation = LayerActivation::kRelu;
  bool softmax = false;
};
Result<OnnxWriter> make_mlp(const MlpOptions& mlp, const TemplateOptions& options);

}  // namespace gannet
