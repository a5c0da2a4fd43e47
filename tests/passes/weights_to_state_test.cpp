#include "passes/weights_to_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ir/builder.h"
#include "ir/evaluate.h"
#include "ir/op.h"
#include "ir/parse.h"
#include "ir/verify.h"
#include "passes/lift_weights.h"

namespace gannet {
namespace {

using testing::ElementsAre;

// Builds a graph whose constants come from a user's file, each at an offset of its own.
struct Scene {
  Graph graph;
  Value* x = graph.add_input("x", Type::tensor(DType::kF32, Shape{Dim::symbol("n"), 3}));
  GraphBuilder b{graph};
  int64_t next_offset = 100;

  Value* weight(const std::string& name, std::vector<int64_t> extents, float value = 0.5f) {
    Tensor tensor = Tensor::zeros(DType::kF32, std::move(extents));
    for (float& element : tensor.mutable_data<float>()) element = value;
    Value* constant = graph.add_constant(tensor, name);
    constant->origin = Origin{name, next_offset++};
    return constant;
  }
  void expect_sound() {
    Status status = verify(graph);
    EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().message);
  }
};

TEST(WeightsToState, TensorsOfTheFileBecomeState) {
  Scene s;
  Value* product = s.b.matmul(s.x, s.weight("fc.weight", {3, 2}));
  Value* y = s.b.add(product, s.weight("fc.bias", {2}));
  y = s.b.mul(y, s.weight("scale", {}));                          // one element: a parameter of the formula
  y = s.b.mul(y, s.b.constant(Tensor::zeros(DType::kF32, {2})));  // of our own
  s.graph.outputs = {{"y", y}};
  auto report = weights_to_state(s.graph);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_THAT(report->trained, ElementsAre("fc.weight", "fc.bias"));
  EXPECT_TRUE(report->frozen.empty());
  ASSERT_EQ(s.graph.states.size(), 2u);
  EXPECT_EQ(s.graph.states[0].name, "fc.weight");
  EXPECT_EQ(s.graph.states[0].in->name, "fc.weight");
  EXPECT_EQ(s.graph.states[0].origin->offset, 100);
  EXPECT_EQ(s.graph.states[0].initial.double_at(5), 0.5);
  EXPECT_EQ(s.graph.states[0].out, nullptr);
  s.expect_sound();
}

// Scales of an upsampling are several floats of the file, and say how large its result is.
TEST(WeightsToState, ScalesOfAResizeAreNoWeights) {
  Scene s;
  Value* hidden = s.b.reshape(s.b.matmul(s.x, s.weight("w", {3, 4})), {Dim::symbol("n"), 1, 2, 2});
  Value* y = s.b.op("Resize", {hidden, nullptr, s.weight("scales", {4}, 2)});
  s.graph.outputs = {{"y", y}};
  auto report = weights_to_state(s.graph);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_THAT(report->trained, ElementsAre("w"));
  EXPECT_TRUE(report->frozen.empty());
  s.expect_sound();
}

TEST(WeightsToState, ATensorUsedTwiceIsOneState) {
  Scene s;
  Value* first = s.weight("tied", {3, 3});
  Value* second = s.weight("tied", {3, 3});
  Value* other = s.weight("tied", {3, 3});  // another tensor of the same name, in a subgraph or function
  second->origin->offset = first->origin->offset;
  s.graph.outputs = {{"y", s.b.matmul(s.b.matmul(s.b.matmul(s.x, first), second), other)}, {"w", second}};
  auto report = weights_to_state(s.graph);
  ASSERT_TRUE(report.ok());
  ASSERT_EQ(s.graph.states.size(), 2u);
  EXPECT_EQ(s.graph.states[0].in->uses().size(), 2u);
  EXPECT_EQ(s.graph.outputs[1].value, s.graph.states[0].in);
  s.expect_sound();
}

// An importer may have transposed one use; training the other alone would tear them apart unseen.
TEST(WeightsToState, ASecondUseInAnotherFormIsReportedAsFrozen) {
  Scene s;
  Value* first = s.weight("tied", {3, 4});
  Value* second = s.weight("tied", {4, 3});
  second->origin->offset = first->origin->offset;
  s.graph.outputs = {{"y", s.b.matmul(s.b.matmul(s.x, first), second)}};
  auto report = weights_to_state(s.graph);
  ASSERT_TRUE(report.ok());
  EXPECT_THAT(report->trained, ElementsAre("tied"));
  EXPECT_THAT(report->frozen, ElementsAre("tied"));
  s.expect_sound();
}

TEST(WeightsToState, PatternsFreeze) {
  Scene s;
  Value* product = s.b.matmul(s.x, s.weight("layer1.weight", {3, 2}));
  Value* y = s.b.add(product, s.weight("layer1.bias", {2}));
  s.graph.outputs = {{"y", s.b.matmul(y, s.weight("layer2.weight", {2, 2}))}};
  auto report = weights_to_state(s.graph, {{"layer1.*"}});
  ASSERT_TRUE(report.ok());
  EXPECT_THAT(report->trained, ElementsAre("layer2.weight"));
  EXPECT_THAT(report->frozen, ElementsAre("layer1.weight", "layer1.bias"));
  s.expect_sound();
}

TEST(WeightsToState, RunningStatisticsStayConstants) {
  Scene s;
  std::vector<Value*> operands = {s.x};
  for (const char* name : {"gamma", "beta", "mean", "variance"}) operands.push_back(s.weight(name, {3}));
  Value* y = s.b.op("BatchNormalization", operands);
  s.graph.outputs = {{"y", y}};
  auto report = weights_to_state(s.graph);
  ASSERT_TRUE(report.ok());
  EXPECT_THAT(report->trained, ElementsAre("gamma", "beta"));
  EXPECT_THAT(report->frozen, ElementsAre("mean", "variance"));
  s.expect_sound();
}

TEST(WeightsToState, RunningStatisticsBecomeStateWhereAsked) {
  Scene s;
  std::vector<Value*> operands = {s.x};
  for (const char* name : {"gamma", "beta", "mean", "variance"}) operands.push_back(s.weight(name, {3}));
  s.graph.outputs = {{"y", s.b.op("BatchNormalization", operands)}};
  auto report = weights_to_state(s.graph, {.running_statistics = true});
  ASSERT_TRUE(report.ok());
  EXPECT_THAT(report->trained, ElementsAre("gamma", "beta"));
  EXPECT_THAT(report->running_statistics, ElementsAre("mean", "variance"));
  EXPECT_EQ(s.graph.states.size(), 4u);
  s.expect_sound();
}

TEST(WeightsToState, EqualNamesOfDifferentTensorsAreToldApart) {
  Scene s;
  s.graph.outputs = {{"y", s.b.matmul(s.b.matmul(s.x, s.weight("w", {3, 3})), s.weight("w", {3, 3}))}};
  auto report = weights_to_state(s.graph);
  ASSERT_TRUE(report.ok());
  EXPECT_THAT(report->trained, ElementsAre("w", "w#2"));
}

TEST(LiftWeights, WeightsOfBodiesBecomeCaptures) {
  auto parsed = parse_graph(R"(graph "g"(%c: bool[], %x: f32[2]) {
  %y = If(%c, %x) {captures = 1, else_branch = graph "e"(%a: f32[2]) {
      %w = Constant() {value = f32[2] {10, 20}}
      %t = Constant() {value = bool[] {true}}
      %z = If(%t, %w, %a) {captures = 2, else_branch = graph "i"(%p: f32[2], %q: f32[2]) { return %q },
        then_branch = graph "j"(%r: f32[2], %s: f32[2]) {
          %v = Constant() {value = f32[2] {3, 4}}
          %m = Mul(%v, %s)
          %o = Add(%m, %r)
          return %o }}
      return %z }, then_branch = graph "t"(%b: f32[2]) { return %b }}
  return %y as "y"
})");
  if (!parsed.ok()) GTEST_FAIL() << parsed.error().message;
  Graph& graph = **parsed;
  Tensor x = Tensor::from<float>({2}, {1, 2});
  auto before = evaluate(graph, {Tensor::scalar(false), x});
  ASSERT_TRUE(before.ok()) << before.error().message;
  lift_weights(*graph.nodes().front(), [](const Value& value) { return is_float(value.type.dtype); });
  ASSERT_TRUE(verify(graph).ok()) << verify(graph).error().message;
  int outside = 0;
  for (const auto& node : graph.nodes()) outside += node->op().name == "Constant";
  EXPECT_EQ(outside, 2);
  for (bool condition : {false, true}) {
    auto expected = evaluate(**parse_graph("graph \"g\"(%c: bool[], %x: f32[2]) { return %x }"), {Tensor::scalar(condition), x});
    auto after = evaluate(graph, {Tensor::scalar(condition), x});
    ASSERT_TRUE(after.ok()) << after.error().message;
    EXPECT_TRUE(after->outputs[0].tensor().identical(condition ? expected->outputs[0].tensor() : before->outputs[0].tensor()));
  }
  EXPECT_EQ(before->outputs[0].tensor().double_at(1), 28);
}

TEST(WeightsToState, NothingToTrainIsAnError) {
  Scene s;
  s.graph.outputs = {{"y", s.b.mul(s.x, s.weight("scale", {}))}};
  EXPECT_FALSE(weights_to_state(s.graph).ok());
  Scene frozen;
  frozen.graph.outputs = {{"y", frozen.b.matmul(frozen.x, frozen.weight("w", {3, 3}))}};
  EXPECT_EQ(weights_to_state(frozen.graph, {{"*"}}).error().message, "all 1 weights are frozen, none is left to train");
}

TEST(WeightsToState, CodesThatCannotBeTrainedAreNamed) {
  Scene s;
  Value* codes = s.graph.add_constant(Tensor::zeros(DType::kI8, {3, 2}), "codes");
  codes->origin = Origin{"codes", 7};
  Value* scale = s.b.reduce("ReduceMax", s.x, {0, 1}, false);
  Value* wide = s.b.op("DequantizeLinear", {codes, scale});
  s.graph.outputs = {{"y", s.b.matmul(s.x, wide)}};
  EXPECT_THAT(weights_to_state(s.graph).error().message, testing::HasSubstr("are integers (1 tensors behind DequantizeLinear)"));
  s.graph.outputs[0].value = s.b.add(s.graph.outputs[0].value, s.weight("bias", {2}));
  auto report = weights_to_state(s.graph);
  ASSERT_TRUE(report.ok());
  EXPECT_THAT(report->integers, ElementsAre("codes"));
  EXPECT_THAT(report->trained, ElementsAre("bias"));
}

TEST(WeightsToState, PatternsMatch) {
  EXPECT_TRUE(matches_pattern("*", ""));
  EXPECT_TRUE(matches_pattern("a*c", "abbc"));
  EXPECT_TRUE(matches_pattern("*.weight", "x.weight.weight"));
  EXPECT_TRUE(matches_pattern("l?.b*", "l1.bias"));
  EXPECT_TRUE(matches_pattern("**a**", "xax"));
  EXPECT_FALSE(matches_pattern("a*c", "abcd"));
  EXPECT_FALSE(matches_pattern("?", ""));
  EXPECT_FALSE(matches_pattern("", "a"));
  EXPECT_FALSE(matches_pattern(std::string(50, '*') + "b", std::string(5000, 'a')));
}

}  // namespace
}  // namespace gannet
