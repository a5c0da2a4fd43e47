#include <gtest/gtest.h>
#include <onnx/onnx_pb.h>

#include <string>
#include <vector>

#include "frontend/templates.h"

namespace gannet {
namespace {

onnx::GraphProto graph_of(Result<OnnxWriter> made) {
  EXPECT_TRUE(made.ok()) << made.error().message;
  onnx::ModelProto model;
  EXPECT_TRUE(model.ParseFromString(made->serialize().value()));
  return model.graph();
}

int64_t int_attr(const onnx::NodeProto& node, const std::string& name, int64_t missing) {
  for (const onnx::AttributeProto& attr : node.attribute()) {
    if (attr.name() == name) return attr.ints(0);
  }
  return missing;
}

// The extent after a node, by the formulas of the ONNX specification.
int64_t extent_after(const onnx::NodeProto& node, int64_t in) {
  int64_t kernel = int_attr(node, "kernel_shape", 1), stride = int_attr(node, "strides", 1);
  int64_t padding = int_attr(node, "pads", 0);
  if (node.op_type() == "Conv") return (in + 2 * padding - kernel) / stride + 1;
  if (node.op_type() == "ConvTranspose") {
    return stride * (in - 1) + int_attr(node, "output_padding", 0) + kernel - 2 * padding;
  }
  return in;
}

DcganOptions dcgan_of(int64_t size) {
  DcganOptions dcgan;
  dcgan.image_size = size;
  dcgan.channels = 1;
  dcgan.features = 2;
  return dcgan;
}

TEST(TemplateShapes, DcganExtentsHalve) {
  EXPECT_EQ(dcgan_extents(28), (std::vector<int64_t>{28, 14, 7}));
  EXPECT_EQ(dcgan_extents(64), (std::vector<int64_t>{64, 32, 16, 8, 4}));
  EXPECT_EQ(dcgan_extents(96), (std::vector<int64_t>{96, 48, 24, 12, 6}));
  EXPECT_EQ(dcgan_extents(100), (std::vector<int64_t>{100, 50, 25, 12, 6}));
  EXPECT_EQ(dcgan_extents(127), (std::vector<int64_t>{127, 63, 31, 15, 7}));
  EXPECT_EQ(dcgan_extents(128), (std::vector<int64_t>{128, 64, 32, 16, 8, 4}));
}

TEST(TemplateShapes, EveryDcganSizeComesOutExactly) {
  for (int64_t size = kSmallestDcganImage; size <= kLargestDcganImage; ++size) {
    SCOPED_TRACE(size);
    onnx::GraphProto generator = graph_of(make_dcgan_generator(dcgan_of(size), {}));
    int64_t extent = 1;
    for (const onnx::NodeProto& node : generator.node()) extent = extent_after(node, extent);
    EXPECT_EQ(extent, size);
    EXPECT_EQ(generator.output(0).type().tensor_type().shape().dim(2).dim_value(), size);

    onnx::GraphProto discriminator = graph_of(make_dcgan_discriminator(dcgan_of(size), {}));
    for (const onnx::NodeProto& node : discriminator.node()) {
      extent = extent_after(node, extent);
      EXPECT_GE(extent, 1);
    }
    EXPECT_EQ(extent, 1);
  }
}

TEST(TemplateShapes, DcganOutsideItsSizes) {
  Result<OnnxWriter> small = make_dcgan_generator(dcgan_of(27), {});
  ASSERT_FALSE(small.ok());
  EXPECT_EQ(small.error().message, "image size is 27, it must be 28 to 128");
  EXPECT_FALSE(make_dcgan_discriminator(dcgan_of(129), {}).ok());
}

TEST(TemplateShapes, DiscriminatorEndsInALogitOrAProbability) {
  DcganOptions dcgan = dcgan_of(64);
  EXPECT_EQ(graph_of(make_dcgan_discriminator(dcgan, {})).output(0).name(), "logit");
  dcgan.sigmoid = true;
  onnx::GraphProto graph = graph_of(make_dcgan_discriminator(dcgan, {}));
  EXPECT_EQ(graph.output(0).name(), "probability");
  EXPECT_EQ(graph.node(graph.node_size() - 1).op_type(), "Sigmoid");
}

TEST(TemplateShapes, MlpChainsOfAnyLength) {
  for (size_t layers : {0u, 1u, 443u, 4430u}) {
    MlpOptions mlp;
    mlp.inputs = 8;
    mlp.hidden.assign(layers, 8);
    onnx::GraphProto graph = graph_of(make_mlp(mlp, {}));
    EXPECT_EQ(graph.node_size(), static_cast<int>(2 * layers + 1));
    EXPECT_EQ(graph.initializer_size(), static_cast<int>(2 * layers + 2));
  }
}

TEST(TemplateShapes, MlpActivationsAndEnding) {
  MlpOptions mlp;
  mlp.hidden = {4};
  mlp.softmax = true;
  mlp.activation = LayerActivation::kGelu;
  std::vector<std::string> ops;
  onnx::GraphProto graph = graph_of(make_mlp(mlp, {}));
  for (const onnx::NodeProto& node : graph.node()) ops.push_back(node.op_type());
  EXPECT_EQ(ops, (std::vector<std::string>{"Gemm", "Div", "Erf", "Add", "Mul", "Mul", "Gemm", "Softmax"}));
  EXPECT_EQ(graph.output(0).name(), "probabilities");
}

TEST(TemplateShapes, BertSharesNothingBetweenLayersButConstants) {
  BertOptions bert;
  bert.hidden = 16;
  bert.vocabulary = 20;
  bert.labels = 5;
  onnx::GraphProto graph = graph_of(make_bert_classifier(bert, {}));
  ASSERT_EQ(graph.input_size(), 3);
  for (const auto& input : graph.input()) {
    EXPECT_EQ(input.type().tensor_type().elem_type(), onnx::TensorProto::INT64);
    EXPECT_EQ(input.type().tensor_type().shape().dim(1).dim_param(), "seq");
  }
  EXPECT_EQ(graph.output(0).type().tensor_type().shape().dim(1).dim_value(), 5);
  int weights = 0;
  for (const auto& tensor : graph.initializer())
    weights += tensor.data_type() == onnx::TensorProto::FLOAT && tensor.dims_size() > 0;
  EXPECT_EQ(weights, 5 + 2 * 16 + 4);
}

}  // namespace
}  // namespace gannet
