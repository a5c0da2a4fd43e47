// Older and foreign forms of ops mean what they meant.
#include <cmath>

#include "frontend/upgrade.h"
#include "tests/frontend/import_test_model.h"

namespace gannet {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::Pointwise;

// One node on one input `x`, in this opset.
std::vector<Datum> run_unary(int64_t opset, const std::string& op, Tensor x, const TestAttrs& attrs,
                             const std::string& domain = "") {
  TestModel model(opset);
  if (!domain.empty()) model.import_domain(domain, 1);
  std::vector<TestDim> dims(x.extents().begin(), x.extents().end());
  model.input("x", dims).node(op, {"x"}, {"y"}, attrs, domain).output("y");
  return model.run({std::move(x)});
}

std::vector<float> unary(int64_t opset, const std::string& op, Tensor x, const TestAttrs& attrs = {},
                         const std::string& domain = "") {
  return floats_of(run_unary(opset, op, std::move(x), attrs, domain)[0]);
}

Tensor row(std::initializer_list<float> values) {
  return Tensor::from<float>({static_cast<int64_t>(values.size())}, values);
}

TEST(Upgrade, BroadcastAtAnAxis) {
  TestModel model(6);
  model.input("x", {2, 3, 2}).input("b", {3});
  model.node("Add", {"x", "b"}, {"y"}, {{"broadcast", int64_t{1}}, {"axis", int64_t{1}}}).output("y");
  auto y = model.run({counting({2, 3, 2}), row({0, 100, 200})});
  EXPECT_THAT(floats_of(y[0]), ElementsAre(0, 1, 102, 103, 204, 205, 6, 7, 108, 109, 210, 211));
}

TEST(Upgrade, SlopeOfEachChannel) {
  TestModel model(6);
  model.input("x", {1, 2, 2}).floats("s", {2}, {2, 3}).node("PRelu", {"x", "s"}, {"y"}).output("y");
  auto y = model.run({Tensor::from<float>({1, 2, 2}, {-1, 1, -1, 1})});
  EXPECT_THAT(floats_of(y[0]), ElementsAre(-2, 1, -3, 1));
}

TEST(Upgrade, ClipBounds) {
  EXPECT_THAT(unary(6, "Clip", row({-5, 0, 5}), {{"min", -1.0f}, {"max", 2.0f}}), ElementsAre(-1, 0, 2));
  EXPECT_THAT(unary(1, "Clip", row({-5, 5}), {{"max", 2.0f}}), ElementsAre(-5, 2));
  EXPECT_THAT(unary(6, "Clip", row({-INFINITY, 5}), {{"max", 2.0f}}),
              ElementsAre(-3.4028234663852886e38f, 2));
}

TEST(Upgrade, AttributesThatBecameOperands) {
  using L = std::vector<int64_t>;
  EXPECT_THAT(unary(1, "Reshape", counting({2, 3}), {{"shape", L{3, 2}}, {"consumed_inputs", L{0}}}),
              ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(unary(9, "Slice", counting({2, 3}), {{"starts", L{1}}, {"ends", L{3}}, {"axes", L{1}}}),
              ElementsAre(1, 2, 4, 5));
  EXPECT_THAT(unary(1, "Pad", counting({2}), {{"paddings", L{1, 0}}, {"value", 7.0f}}), ElementsAre(7, 0, 1));
  EXPECT_THAT(unary(2, "Pad", counting({2}), {{"pads", L{0, 1}}, {"mode", std::string("edge")}}),
              ElementsAre(0, 1, 1));
  EXPECT_THAT(unary(11, "ReduceSum", counting({2, 2}), {{"axes", L{0}}, {"keepdims", int64_t{0}}}),
              ElementsAre(2, 4));
  EXPECT_THAT(unary(17, "ReduceMax", counting({2, 2}), {{"keepdims", int64_t{0}}}), ElementsAre(3));
  EXPECT_THAT(unary(1, "TopK", row({3, 9, 4}), {{"k", int64_t{2}}}), ElementsAre(9, 4));
  auto squeezed = run_unary(11, "Squeeze", counting({1, 2, 1}), {{"axes", L{0}}});
  EXPECT_THAT(squeezed[0].tensor().extents(), ElementsAre(2, 1));
  auto unsqueezed = run_unary(11, "Unsqueeze", counting({2}), {{"axes", L{-1}}});
  EXPECT_THAT(unsqueezed[0].tensor().extents(), ElementsAre(2, 1));
}

TEST(Upgrade, SplitsOfEveryOpset) {
  for (int64_t opset : {2, 11, 13, 17, 18}) {
    TestModel model(opset);
    model.input("x", {4}).node("Split", {"x"}, {"a", "b"});
    if (opset >= 18) *model.graph().mutable_node(0)->add_attribute() = test_attr("num_outputs", int64_t{2});
    if (opset == 11)
      *model.graph().mutable_node(0)->add_attribute() = test_attr("split", std::vector<int64_t>{1, 3});
    model.output("a").output("b");
    auto parts = model.run({counting({4})});
    if (opset == 11)
      EXPECT_THAT(floats_of(parts[1]), ElementsAre(1, 2, 3));
    else
      EXPECT_THAT(floats_of(parts[1]), ElementsAre(2, 3));
  }
}

TEST(Upgrade, SoftmaxOverFlattenedAxes) {
  auto y = unary(12, "Softmax", Tensor::zeros(DType::kF32, {2, 2, 4}));
  EXPECT_THAT(y, Pointwise(FloatNear(1e-6f), std::vector<float>(16, 0.125f)));
  y = unary(13, "Softmax", Tensor::zeros(DType::kF32, {2, 2, 4}));
  EXPECT_THAT(y, Pointwise(FloatNear(1e-6f), std::vector<float>(16, 0.25f)));
}

TEST(Upgrade, BatchNormalizationOfEachActivation) {
  TestModel model(7);
  model.input("x", {2, 2}).floats("s", {2}, {1, 2}).floats("b", {2}, {0, 1}).floats("m", {2}, {1, 1});
  model.floats("v", {2}, {4, 4});
  model.node("BatchNormalization", {"x", "s", "b", "m", "v"}, {"y"},
             {{"spatial", int64_t{0}}, {"epsilon", 0.0f}});
  model.output("y");
  EXPECT_THAT(floats_of(model.run({counting({2, 2})})[0]), ElementsAre(-0.5f, 1, 0.5f, 3));
}

TEST(Upgrade, BatchNormalizationOfFiveOutputsTrains) {
  TestModel model(9);
  model.input("x", {2, 1})
      .floats("s", {1}, {1})
      .floats("b", {1}, {0})
      .floats("m", {1}, {0})
      .floats("v", {1}, {1});
  model.node("BatchNormalization", {"x", "s", "b", "m", "v"}, {"y", "rm", "rv", "sm", "sv"},
             {{"momentum", 0.5f}});
  model.output("rm").output("rv").output("sm").output("sv");
  auto y = model.run({Tensor::from<float>({2, 1}, {2, 6})});
  EXPECT_THAT(floats_of(y[0]), ElementsAre(2));
  EXPECT_THAT(floats_of(y[1]), ElementsAre(2.5f));
  EXPECT_THAT(floats_of(y[2]), ElementsAre(4));
  EXPECT_THAT(floats_of(y[3]), ElementsAre(4));
}

TEST(Upgrade, DropoutOfOldFilesIsIdentityWithAMaskOfItsType) {
  TestModel model(7);
  model.input("x", {3}).node("Dropout", {"x"}, {"y", "mask"}, {{"ratio", 0.9f}}).output("y").output("mask");
  auto y = model.run({row({1, 2, 3})});
  EXPECT_THAT(floats_of(y[0]), ElementsAre(1, 2, 3));
  EXPECT_THAT(floats_of(y[1]), ElementsAre(1, 1, 1));
}

TEST(Upgrade, UpsampleOfEveryForm) {
  Tensor x = counting({1, 1, 1, 2});
  auto wide = ElementsAre(0, 0, 1, 1);
  EXPECT_THAT(unary(1, "Upsample", x, {{"height_scale", 1.0f}, {"width_scale", 2.0f}}), wide);
  EXPECT_THAT(unary(7, "Upsample", x, {{"scales", std::vector<float>{1, 1, 1, 2}}}), wide);
  TestModel model(9);
  model.input("x", {1, 1, 1, 2}).floats("s", {4}, {1, 1, 1, 2});
  model.node("Upsample", {"x", "s"}, {"y"}, {{"mode", std::string("bilinear")}}).output("y");
  EXPECT_THAT(floats_of(model.run({x})[0]), ElementsAre(0, 0.5f, 1, 1));
}

TEST(Upgrade, NearestRoundsUpWhereOpset10Shrinks) {
  for (bool known : {true, false}) {
    TestModel model(10);
    model.input("x", {2, 4});
    if (known)
      model.floats("s", {2}, {2, 0.6f});
    else
      model.input("s", {2});
    model.node("Resize", {"x", "s"}, {"y"}, {{"mode", std::string("nearest")}}).output("y");
    std::vector<Datum> inputs = {counting({2, 4})};
    if (!known) inputs.push_back(row({2, 0.6f}));
    EXPECT_THAT(floats_of(model.run(std::move(inputs))[0]), ElementsAre(0, 2, 0, 2, 4, 6, 4, 6));
  }
}

TEST(Upgrade, GroupNormalizationByGroup) {
  TestModel model(18);
  model.input("x", {1, 4, 1}).floats("s", {2}, {1, 10}).floats("b", {2}, {0, 100});
  model.node("GroupNormalization", {"x", "s", "b"}, {"y"}, {{"num_groups", int64_t{2}}, {"epsilon", 0.0f}})
      .output("y");
  EXPECT_THAT(floats_of(model.run({counting({1, 4, 1})})[0]),
              Pointwise(FloatNear(1e-4f), std::vector<float>{-1, 1, 90, 110}));
}

TEST(Upgrade, OpsOfEarlyExporters) {
  using L = std::vector<int64_t>;
  EXPECT_THAT(unary(7, "Affine", row({1, 2}), {{"alpha", 2.0f}, {"beta", 1.0f}}), ElementsAre(3, 5));
  EXPECT_THAT(unary(7, "ScaledTanh", row({0}), {{"alpha", 2.0f}, {"beta", 1.0f}}), ElementsAre(0));
  EXPECT_THAT(unary(7, "ParametricSoftplus", row({0}), {{"alpha", 2.0f}}),
              Pointwise(FloatNear(1e-6f), std::vector<float>{2 * std::log(2.0f)}));
  EXPECT_THAT(unary(7, "Crop", counting({1, 1, 3, 3}), {{"border", L{1, 0, 0, 1}}}), ElementsAre(1, 2, 4, 5));
  EXPECT_THAT(unary(7, "Crop", counting({1, 1, 3, 3}), {{"border", L{1, 1, 0, 0}}, {"scale", L{1, 2}}}),
              ElementsAre(4, 5));
  EXPECT_THAT(unary(7, "ImageScaler", counting({1, 2, 1, 1}),
                    {{"scale", 2.0f}, {"bias", std::vector<float>{10, 20}}}),
              ElementsAre(10, 22));
  EXPECT_THAT(unary(1, "Cast", row({1.5f}), {{"to", std::string("FLOAT")}}), ElementsAre(1.5f));
}

TEST(Upgrade, OpsOfOnnxRuntime) {
  const std::string ms = "com.microsoft";
  EXPECT_THAT(unary(14, "QuickGelu", row({0}), {}, ms), ElementsAre(0));
  TestModel skip(14);
  skip.import_domain(ms, 1);
  skip.input("x", {1, 1, 2}).input("s", {1, 1, 2}).floats("g", {2}, {1, 1}).floats("b", {2}, {0, 5});
  skip.node("SkipLayerNormalization", {"x", "s", "g", "b"}, {"y", "", "", "sum"}, {}, ms)
      .output("y")
      .output("sum");
  auto y = skip.run({counting({1, 1, 2}), counting({1, 1, 2})});
  EXPECT_THAT(floats_of(y[0]), Pointwise(FloatNear(1e-5f), std::vector<float>{-1, 6}));
  EXPECT_THAT(floats_of(y[1]), ElementsAre(0, 2));
  TestModel product(14);
  product.import_domain(ms, 1);
  product.input("a", {2, 1}).input("b", {1, 2});
  product.node("FusedMatMul", {"a", "b"}, {"y"},
               {{"transA", int64_t{1}}, {"transB", int64_t{1}}, {"alpha", 2.0f}}, ms);
  product.output("y");
  EXPECT_THAT(floats_of(product.run({row({1, 2}).reshaped({2, 1}), row({3, 4}).reshaped({1, 2})})[0]),
              ElementsAre(22));
  TestModel batches(14);
  batches.import_domain(ms, 1);
  batches.input("a", {1, 2, 1}).input("b", {2, 1, 1});
  batches.node("FusedMatMul", {"a", "b"}, {"y"}, {{"transBatchA", int64_t{1}}}, ms);
  batches.output("y");
  EXPECT_THAT(floats_of(batches.run({row({1, 2}).reshaped({1, 2, 1}), row({3, 4}).reshaped({2, 1, 1})})[0]),
              ElementsAre(3, 8));
}

// Codes of u8 for numbers.
Tensor codes(std::vector<int64_t> extents, const std::vector<uint8_t>& values) {
  return Tensor::from<uint8_t>(std::move(extents), values);
}

TEST(Upgrade, QuantizedProductAndSoftmaxOfOnnxRuntime) {
  const std::string ms = "com.microsoft";
  TestModel gemm(14);
  gemm.import_domain(ms, 1);
  gemm.input("a", {1, 2}, DType::kU8).input("za", {}, DType::kU8).input("b", {3, 2}, DType::kI8).input("zb", {3}, DType::kI8);
  gemm.input("c", {3}, DType::kI32).floats("sa", {}, {0.5f}).floats("sb", {3}, {1, 2, 4});
  gemm.node("QGemm", {"a", "sa", "za", "b", "sb", "zb", "c"}, {"y"}, {{"transB", int64_t{1}}}, ms).output("y");
  // a = (0.5, 1), rows of b = (1, 2), (6, 8), (-4, 0), bias = (2, -3, 20) * 0.5 * (1, 2, 4)
  const std::vector<Datum> operands = {codes({1, 2}, {4, 5}), Tensor::scalar<uint8_t>(3),
                                       Tensor::from<int8_t>({3, 2}, {1, 2, 3, 4, -1, 0}), Tensor::from<int8_t>({3}, {0, 0, 0}),
                                       Tensor::from<int32_t>({3}, {2, -3, 20})};
  EXPECT_THAT(floats_of(gemm.run(operands)[0]), ElementsAre(3.5f, 8, 38));

  for (const int64_t opset : {int64_t{11}, int64_t{13}}) {
    TestModel softmax(14);
    softmax.import_domain(ms, 1);
    softmax.input("x", {1, 2, 2}, DType::kU8).input("z", {}, DType::kU8).input("zy", {}, DType::kU8);
    softmax.floats("s", {}, {1}).floats("sy", {}, {1.0f / 256});
    softmax.node("QLinearSoftmax", {"x", "s", "z", "sy", "zy"}, {"y"}, {{"axis", int64_t{1}}, {"opset", opset}}, ms);
    softmax.output("y");
    const std::vector<Datum> y = softmax.run({codes({1, 2, 2}, {7, 7, 7, 7}), Tensor::scalar<uint8_t>(7), Tensor::scalar<uint8_t>(0)});
    ASSERT_TRUE(y[0].is_tensor() && y[0].tensor().dtype() == DType::kU8);
    EXPECT_EQ(y[0].tensor().int_at(0), opset < 13 ? 64 : 128);
  }
}

}  // namespace
}  // namespace gannet
