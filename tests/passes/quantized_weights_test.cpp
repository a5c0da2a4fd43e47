#include "passes/quantized_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ir/builder.h"
#include "ir/evaluate.h"
#include "ir/op.h"
#include "ir/verify.h"
#include "passes/differentiate.h"
#include "passes/weights_to_state.h"

namespace gannet {
namespace {

using testing::ElementsAre;

struct Scene {
  Graph graph;
  Value* x = graph.add_input("x", Type::tensor(DType::kF32, Shape{2, 3}));
  GraphBuilder b{graph};

  Value* stored(const std::string& name, const Tensor& tensor, int64_t offset) {
    Value* constant = graph.add_constant(tensor, name);
    constant->origin = Origin{name, offset};
    return constant;
  }
  Value* scales(std::initializer_list<float> values) { return b.constant(Tensor::from<float>({static_cast<int64_t>(values.size())}, values)); }
  std::vector<float> run() {
    const Tensor input = Tensor::from<float>({2, 3}, {1, -2, 3, 0.5, 4, -1});
    auto result = evaluate(graph, {input});
    EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
    if (!result.ok()) return {};
    auto data = result->outputs[0].tensor().data<float>();
    return {data.begin(), data.end()};
  }
};

const Tensor kCodes = Tensor::from<int8_t>({3, 2}, {-128, 127, 5, -6, 0, 99});

// A row of i8 codes with a scale for each column, a bias of i32 codes.
void layer(Scene& s) {
  Value* weight = s.b.op("DequantizeLinear", {s.stored("w", kCodes, 7), s.scales({0.03f, 0.1f}), s.b.constant(Tensor::from<int8_t>({2}, {3, -4}))},
                         {{"axis", int64_t{1}}});
  Value* bias = s.b.op("DequantizeLinear", {s.stored("b", Tensor::from<int32_t>({2}, {1234567, -89}), 8), s.stored("s", Tensor::from<float>({2}, {1e-5f, 0.01f}), 9)},
                       {{"axis", int64_t{0}}});
  s.graph.outputs = {{"y", s.b.add(s.b.matmul(s.x, weight), bias)}};
}

TEST(QuantizedWeights, CodesTrainAsNumbersAndComeBack) {
  Scene s;
  layer(s);
  const std::vector<float> before = s.run();
  auto report = weights_to_state(s.graph);
  ASSERT_TRUE(report.ok()) << report.error().message;
  // The scales are none.
  EXPECT_THAT(report->trained, ElementsAre("w", "b"));
  EXPECT_TRUE(report->integers.empty());
  ASSERT_EQ(report->quantized.size(), 2u);
  EXPECT_EQ(s.run(), before);
  EXPECT_TRUE(verify(s.graph).ok());
  const QuantizedWeight &w = report->quantized[0], &b = report->quantized[1];
  EXPECT_EQ(w.state, "w");
  EXPECT_EQ(s.graph.states[0].origin->offset, 7);
  EXPECT_EQ(s.graph.states[0].initial.dtype(), DType::kF32);
  EXPECT_TRUE(quantize_again(w, s.graph.states[0].initial)->identical(kCodes));
  EXPECT_EQ(quantize_again(b, s.graph.states[1].initial)->ints(), (std::vector<int64_t>{1234567, -89}));
  // Rounded to the nearest code of its column, and kept in range.
  Tensor moved = s.graph.states[0].initial;
  moved.mutable_data<float>()[2] += 0.04f;
  moved.mutable_data<float>()[1] += 5;
  EXPECT_EQ(quantize_again(w, moved)->ints(), (std::vector<int64_t>{-128, 127, 6, -6, 0, 99}));
}

TEST(QuantizedWeights, TheGradientPassesTheRounding) {
  Scene s;
  layer(s);
  ASSERT_TRUE(weights_to_state(s.graph).ok());
  Value* loss = s.b.reduce_sum(s.graph.outputs[0].value, {0, 1}, false);
  auto gradients = differentiate(s.graph, loss, std::vector<Value*>{s.graph.states[0].in, s.graph.states[1].in});
  ASSERT_TRUE(gradients.ok()) << gradients.error().message;
  ASSERT_NE((*gradients)[0], nullptr);
  ASSERT_NE((*gradients)[1], nullptr);
  s.graph.outputs = {{"dw", (*gradients)[0]}};
  const std::vector<float> dw = s.run();
  const std::vector<float> expected = {1.5f, 1.5f, 2, 2, 2, 2};
  ASSERT_EQ(dw.size(), expected.size());
  for (size_t i = 0; i < dw.size(); ++i) EXPECT_FLOAT_EQ(dw[i], expected[i]) << i;
  s.graph.outputs = {{"db", (*gradients)[1]}};
  EXPECT_THAT(s.run(), ElementsAre(2, 2));
}

TEST(QuantizedWeights, FrozenOnesKeepTheirCodes) {
  Scene s;
  layer(s);
  const std::vector<float> before = s.run();
  auto report = weights_to_state(s.graph, {.freeze = {"w"}});
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_THAT(report->trained, ElementsAre("b"));
  EXPECT_THAT(report->frozen, ElementsAre("w"));
  EXPECT_EQ(report->quantized.size(), 1u);
  EXPECT_EQ(s.run(), before);
}

// Codes that others read as they are cannot follow a number.
TEST(QuantizedWeights, CodesWithOtherReadersStay) {
  Scene s;
  layer(s);
  Value* codes = s.graph.outputs[0].value->producer()->input(0)->producer()->input(1)->producer()->input(0);
  ASSERT_EQ(codes->name, "w");
  Value* sum = s.b.reduce_sum(s.b.cast(codes, DType::kF32), {0}, false);
  s.graph.outputs[0].value = s.b.add(s.graph.outputs[0].value, sum);
  auto report = weights_to_state(s.graph);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_THAT(report->trained, ElementsAre("b"));
  EXPECT_THAT(report->integers, ElementsAre("w"));
}

TEST(QuantizedWeights, LayersOnCodes) {
  Scene s;
  auto number = [&](float value) { return s.b.constant(Tensor::scalar(value)); };
  Value* zero = s.b.constant(Tensor::scalar<uint8_t>(128));
  Value* codes = s.b.reshape(s.b.op("QuantizeLinear", {s.x, number(0.05f), zero}), Shape{1, 3, 2, 1});
  Value* weight = s.stored("w", Tensor::from<int8_t>({2, 3, 1, 1}, {10, -20, 30, 40, 50, -60}), 7);
  Value* bias = s.stored("b", Tensor::from<int32_t>({2}, {100, -200}), 8);
  Value* zeros = s.b.constant(Tensor::from<int8_t>({2}, {0, 0}));
  Value* y = s.b.op("QLinearConv", {codes, number(0.05f), zero, weight, s.scales({0.01f, 0.02f}), zeros, number(0.1f), zero, bias});
  s.graph.outputs = {{"y", s.b.op("DequantizeLinear", {y, number(0.1f), zero})}};
  const std::vector<float> before = s.run();
  auto report = weights_to_state(s.graph);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_THAT(report->trained, ElementsAre("w", "b"));
  const std::vector<float> after = s.run();
  for (size_t i = 0; i < before.size(); ++i) EXPECT_NEAR(after[i], before[i], 0.1f + 1e-6f);
  ASSERT_EQ(report->quantized.size(), 2u);
  EXPECT_EQ(quantize_again(report->quantized[1], s.graph.states[1].initial)->ints(), (std::vector<int64_t>{100, -200}));
}

}  // namespace
}  // namespace gannet
