#include "tools/driver/image_report.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ir/builder.h"
#include "tools/driver/input_normalization.h"
#include "tools/driver/rates_by_layer.h"

namespace gannet {
namespace {

TEST(BestThreshold, HasTheBestF1) {
  double f1 = 0;
  EXPECT_EQ(best_threshold({{0.1, false}, {0.9, true}, {0.4, true}, {0.3, false}}, f1), 0.35);
  EXPECT_EQ(f1, 1);
  EXPECT_EQ(best_threshold({{0.5, true}, {0.5, false}, {0.2, false}}, f1), 0.35);
  EXPECT_NEAR(f1, 2.0 / 3, 1e-12);
  EXPECT_EQ(best_threshold({{0.5, false}, {0.2, false}}, f1), 1.5);
  EXPECT_EQ(f1, 0);
  EXPECT_LT(best_threshold({{0.5, true}, {0.2, true}}, f1), 0.2);
  EXPECT_EQ(f1, 1);
}

// A graph of one input [1, 3, 8, 8], these nodes with a constant each, and a Relu.
struct Chain {
  Graph graph;
  GraphBuilder b{graph};
  Value* input = graph.add_input("x", Type::tensor(DType::kF32, Shape{1, 3, 8, 8}));
  Value* value = input;

  Chain& then(const char* op, std::vector<float> constant, bool first = false) {
    Value* c = b.constant(Tensor::from<float>({1, static_cast<int64_t>(constant.size()), 1, 1},
                                              std::span<const float>(constant)));
    value = first ? b.op(op, {c, value}) : b.op(op, {value, c});
    return *this;
  }
  std::optional<InputNormalization> find() {
    graph.outputs = {{"y", b.op("Relu", {value})}};
    EXPECT_TRUE(b.status().ok());
    return find_input_normalization(*input);
  }
};

TEST(InputNormalization, FollowsFromTheFirstNodes) {
  const double share = 1.0 / 255;
  EXPECT_FALSE(Chain().find());
  EXPECT_EQ(Chain().then("Sub", {0.485f, 0.456f, 0.406f}).then("Div", {0.229f, 0.224f, 0.225f}).find()->scale,
            share);
  EXPECT_EQ(Chain().then("Sub", {123.7f, 116.3f, 103.5f}).then("Div", {58.4f, 57.1f, 57.4f}).find()->scale,
            1);
  EXPECT_EQ(Chain().then("Sub", {123.7f, 116.3f, 103.5f}).find()->scale, 1);
  EXPECT_EQ(Chain().then("Div", {255}).find()->scale, 1);
  EXPECT_EQ(Chain().then("Mul", {0.00392f}).then("Sub", {0.5f}).then("Mul", {2}).find()->scale, 1);
  EXPECT_EQ(Chain().then("Mul", {2}).then("Add", {-1}).find()->scale, share);
  EXPECT_EQ(Chain().then("Sub", {0.5f}, true).find()->scale, share);
  EXPECT_EQ(Chain().then("Div", {127.5f}).then("Sub", {1}).find()->description, "Div and Sub by constants");
  EXPECT_FALSE(Chain().then("Add", {std::vector<float>(3, 0.1f)}).then("Pow", {2}).find() == std::nullopt);
}

TEST(RatesByLayer, FallWithTheDistanceFromTheOutput) {
  Graph graph;
  GraphBuilder b{graph};
  Value* x = graph.add_input("x", Type::tensor(DType::kF32, Shape{2, 4}));
  auto state = [&](const std::string& name, std::vector<int64_t> extents) {
    Value* in = graph.add_state_value(name, Type::tensor(DType::kF32, to_shape(extents)));
    graph.states.push_back({name, in, nullptr, Tensor::zeros(DType::kF32, extents), {}});
    return in;
  };
  for (const std::string name : {"a", "b", "c"}) {
    Value* weight = state(name + ".weight", {4, 4});
    Value* bias = state(name + ".bias", {4});
    x = b.add(b.op("MatMul", {x, weight}), bias);
  }
  graph.outputs = {{"y", x}};
  const std::vector<RateRule> given = {{"*.bias", 2}};
  const std::vector<RateRule> rules = rates_by_layer(graph, given, 0.5, {"c.weight", "c.bias"}, 7);
  ASSERT_EQ(rules.size(), 6u);
  const double expected[] = {0.25, 0.5, 0.5, 1, 1, 2};
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(rules[i].pattern, graph.states[i].name);
    EXPECT_EQ(rules[i].multiplier, expected[i]) << rules[i].pattern;
    EXPECT_EQ(rules[i].after, i < 4 ? 7 : 0) << rules[i].pattern;
  }
}

}  // namespace
}  // namespace gannet
