#include <gtest/gtest.h>
#include <onnx/onnx_pb.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "frontend/templates.h"

namespace gannet {
namespace {

using Make = std::function<Result<OnnxWriter>(const TemplateOptions&)>;

struct Case {
  std::string name;
  Make make;
  std::map<std::string, int> ops;  // all of them at opset 17
};

BertOptions small_bert() {
  BertOptions bert;
  bert.layers = 3;
  bert.hidden = 32;
  bert.vocabulary = 50;
  bert.max_positions = 16;
  return bert;
}

DcganOptions small_dcgan() {
  DcganOptions dcgan;
  dcgan.features = 4;
  return dcgan;
}

DcganOptions conditional_dcgan() {
  DcganOptions dcgan = small_dcgan();
  dcgan.classes = 3;
  return dcgan;
}

// Of three BERT layers, the embeddings, the mask and the pooler.
std::map<std::string, int> bert_ops(int classifiers) {
  return {{"Add", 2 + 3 * 10 + 1 + classifiers},
          {"Cast", 1},
          {"Concat", 3 * 4},
          {"Div", 3 * 2},
          {"Erf", 3},
          {"Gather", 3 + 1 + 3 * 8 + 1},
          {"LayerNormalization", 1 + 3 * 2},
          {"MatMul", 3 * 8 + 1 + classifiers},
          {"Mul", 1 + 3 * 2},
          {"Reshape", 3 * 4},
          {"Shape", 1 + 3 * 8},
          {"Slice", 1},
          {"Softmax", 3},
          {"Sub", 1},
          {"Tanh", 1},
          {"Transpose", 3 * 4},
          {"Unsqueeze", 2 + 1 + 3 * 8}};
}

Make resnet(int64_t depth) {
  return [depth](const TemplateOptions& options) {
    ImageClassifierOptions image;
    image.height = image.width = 32;
    return make_resnet(depth, image, options);
  };
}

std::vector<Case> cases() {
  return {
      {"bert-classifier", [](const TemplateOptions& o) { return make_bert_classifier(small_bert(), o); },
       bert_ops(1)},
      {"bert-encoder", [](const TemplateOptions& o) { return make_bert_encoder(small_bert(), o); },
       bert_ops(0)},
      {"cnn",
       [](const TemplateOptions& o) { return make_cnn({28, 20, 1, 10}, o); },
       {{"Conv", 2}, {"Flatten", 1}, {"Gemm", 2}, {"MaxPool", 2}, {"Relu", 3}, {"Softmax", 1}}},
      {"resnet8",
       resnet(8),
       {{"Add", 3},
        {"BatchNormalization", 9},
        {"Conv", 9},
        {"Flatten", 1},
        {"Gemm", 1},
        {"GlobalAveragePool", 1},
        {"Relu", 7}}},
      {"resnet18",
       resnet(18),
       {{"Add", 8},
        {"BatchNormalization", 20},
        {"Conv", 20},
        {"Flatten", 1},
        {"Gemm", 1},
        {"GlobalAveragePool", 1},
        {"MaxPool", 1},
        {"Relu", 17}}},
      {"resnet50",
       resnet(50),
       {{"Add", 16},
        {"BatchNormalization", 53},
        {"Conv", 53},
        {"Flatten", 1},
        {"Gemm", 1},
        {"GlobalAveragePool", 1},
        {"MaxPool", 1},
        {"Relu", 49}}},
      {"mobilenet-v2",
       [](const TemplateOptions& o) { return make_mobilenet_v2({32, 32, 3, 10}, o); },
       {{"Add", 10},
        {"BatchNormalization", 52},
        {"Clip", 35},
        {"Conv", 52},
        {"Flatten", 1},
        {"Gemm", 1},
        {"GlobalAveragePool", 1}}},
      {"dcgan-generator",
       [](const TemplateOptions& o) { return make_dcgan_generator(small_dcgan(), o); },
       {{"BatchNormalization", 4}, {"ConvTranspose", 5}, {"Relu", 4}, {"Tanh", 1}}},
      {"dcgan-discriminator",
       [](const TemplateOptions& o) { return make_dcgan_discriminator(small_dcgan(), o); },
       {{"BatchNormalization", 3}, {"Conv", 5}, {"Flatten", 1}, {"LeakyRelu", 4}}},
      {"dcgan-generator",
       [](const TemplateOptions& o) { return make_dcgan_generator(conditional_dcgan(), o); },
       {{"BatchNormalization", 4},
        {"Concat", 1},
        {"ConvTranspose", 5},
        {"Gather", 1},
        {"Relu", 4},
        {"Reshape", 1},
        {"Tanh", 1}}},
      {"dcgan-discriminator",
       [](const TemplateOptions& o) { return make_dcgan_discriminator(conditional_dcgan(), o); },
       {{"Add", 1},
        {"BatchNormalization", 3},
        {"Conv", 5},
        {"Flatten", 2},
        {"Gather", 1},
        {"LeakyRelu", 4},
        {"Mul", 1},
        {"ReduceSum", 1}}},
      {"mlp", [](const TemplateOptions& o) { return make_mlp({}, o); }, {{"Gemm", 3}, {"Relu", 2}}},
  };
}

std::string bytes_of(const Make& make, const TemplateOptions& options) {
  Result<OnnxWriter> model = make(options);
  EXPECT_TRUE(model.ok()) << model.error().message;
  return model->serialize().value();
}

onnx::ModelProto parse(const std::string& bytes) {
  onnx::ModelProto model;
  EXPECT_TRUE(model.ParseFromString(bytes));
  return model;
}

std::map<std::string, int> count_ops(const onnx::ModelProto& model) {
  std::map<std::string, int> counts;
  for (const onnx::NodeProto& node : model.graph().node()) ++counts[node.op_type()];
  return counts;
}

// Every value is defined once, before it is used; every node has a name of its own; outputs exist.
void expect_sound_graph(const onnx::GraphProto& graph) {
  std::set<std::string> values, names;
  for (const auto& input : graph.input()) EXPECT_TRUE(values.insert(input.name()).second) << input.name();
  for (const auto& tensor : graph.initializer())
    EXPECT_TRUE(values.insert(tensor.name()).second) << tensor.name();
  for (const onnx::NodeProto& node : graph.node()) {
    EXPECT_TRUE(names.insert(node.name()).second) << node.name();
    for (const std::string& input : node.input())
      EXPECT_TRUE(values.count(input)) << node.name() << " uses " << input;
    for (const std::string& output : node.output()) EXPECT_TRUE(values.insert(output).second) << output;
  }
  for (const auto& output : graph.output()) EXPECT_TRUE(values.count(output.name())) << output.name();
}

void expect_full_tensors(const onnx::GraphProto& graph) {
  for (const onnx::TensorProto& tensor : graph.initializer()) {
    size_t size = tensor.data_type() == onnx::TensorProto::INT64 ? 8 : 4;
    for (int64_t extent : tensor.dims()) size *= static_cast<size_t>(extent);
    EXPECT_EQ(tensor.raw_data().size(), size) << tensor.name();
    if (tensor.data_type() != onnx::TensorProto::FLOAT) continue;
    std::vector<float> values(size / 4);
    std::memcpy(values.data(), tensor.raw_data().data(), size);
    for (float value : values) ASSERT_TRUE(std::isfinite(value)) << tensor.name();
  }
}

std::string message_of(const Result<OnnxWriter>& model) {
  return model.ok() ? "no error" : model.error().message;
}

TEST(Templates, GraphsAreSoundAndHaveTheExpectedNodes) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    onnx::ModelProto model = parse(bytes_of(c.make, {}));
    EXPECT_EQ(model.graph().name(), c.name);
    EXPECT_EQ(model.producer_name(), "gannet");
    EXPECT_EQ(model.ir_version(), 8);
    EXPECT_EQ(model.opset_import(0).version(), 17);
    EXPECT_EQ(count_ops(model), c.ops);
    expect_sound_graph(model.graph());
    expect_full_tensors(model.graph());
    for (const auto& input : model.graph().input()) {
      EXPECT_EQ(input.type().tensor_type().shape().dim(0).dim_param(), "batch");
    }
  }
}

TEST(Templates, TheSeedDecidesTheBytes) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    std::string bytes = bytes_of(c.make, {});
    EXPECT_EQ(bytes, bytes_of(c.make, {}));
    EXPECT_NE(bytes, bytes_of(c.make, {.seed = 1}));
  }
}

TEST(Templates, OldOpsetsHaveNoLayerNormalization) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    onnx::ModelProto model = parse(bytes_of(c.make, {.opset = 13}));
    EXPECT_EQ(model.opset_import(0).version(), 13);
    EXPECT_EQ(count_ops(model).count("LayerNormalization"), 0u);
    expect_sound_graph(model.graph());
  }
  EXPECT_EQ(parse(bytes_of(cases().back().make, {.opset = 21})).ir_version(), 10);
  EXPECT_EQ(message_of(make_mlp({}, {.opset = 12})), "opset is 12, it must be 13 to 21");
  EXPECT_EQ(message_of(make_mlp({}, {.opset = 22})), "opset is 22, it must be 13 to 21");
}

TEST(Templates, WeightsHaveTheirDeviation) {
  onnx::ModelProto model = parse(bytes_of(cases().back().make, {}));
  const onnx::TensorProto& weight = model.graph().initializer(0);
  EXPECT_EQ(weight.name(), "layer.0.weight");
  std::vector<float> values(128 * 784);
  ASSERT_EQ(weight.raw_data().size(), values.size() * 4);
  std::memcpy(values.data(), weight.raw_data().data(), weight.raw_data().size());
  double sum = 0, squares = 0;
  for (float value : values) sum += value, squares += double(value) * value;
  double n = static_cast<double>(values.size());
  EXPECT_NEAR(sum / n, 0.0, 0.001);
  EXPECT_NEAR(squares / n, 2.0 / 784, 0.05 * 2.0 / 784);
}

TEST(Templates, ImpossibleNumbersAreNamed) {
  BertOptions bert = small_bert();
  bert.heads = 3;
  EXPECT_EQ(message_of(make_bert_classifier(bert, {})), "3 heads do not divide hidden 32");
  bert.layers = 0;
  EXPECT_EQ(message_of(make_bert_encoder(bert, {})), "layers is 0, it must be 1 to 1000");
  EXPECT_EQ(message_of(make_resnet(34, {}, {})), "no resnet of depth 34: there are 8, 18 and 50");
  EXPECT_EQ(message_of(make_cnn({3, 8, 1, 2}, {})),
            "image size 3x8 is too small: two poolings by 2 need at least 4x4");
  EXPECT_EQ(message_of(make_cnn({8, 8, 1, 0}, {})), "classes is 0, it must be 1 to 10000000");
  MlpOptions mlp;
  mlp.hidden = {8, -1};
  EXPECT_EQ(message_of(make_mlp(mlp, {})), "units of layer 2 is -1, it must be 1 to 100000000");
}

TEST(Templates, ModelsBeyondTwoGigabytesAreRefusedBeforeTheyTakeMemory) {
  MlpOptions mlp;
  mlp.hidden = {100'000'000, 100'000'000};
  EXPECT_EQ(
      message_of(make_mlp(mlp, {})),
      "with layer.0.weight [100000000, 784] the weights take 313600000000 bytes, an ONNX file holds at most "
      "2147483647");
}

}  // namespace
}  // namespace gannet
