#include "passes/differentiate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ir/builder.h"
#include "ir/evaluate.h"
#include "ir/op.h"
#include "ir/parse.h"
#include "ir/verify.h"

namespace gannet {
namespace {

using testing::HasSubstr;

Type f32(Shape shape) { return Type::tensor(DType::kF32, std::move(shape)); }

Value* sum_of(GraphBuilder& b, Value* x) { return b.reduce("ReduceSum", x, {0}, false); }

TEST(Differentiate, AVariableWithoutInfluenceHasNoGradient) {
  Graph graph;
  Value* x = graph.add_input("x", f32({3}));
  Value* unused = graph.add_input("unused", f32({3}));
  Value* floored = graph.add_input("floored", f32({3}));
  GraphBuilder b(graph);
  Value* loss = sum_of(b, b.add(b.mul(x, x), b.op("Floor", {floored})));
  Value* variables[] = {x, unused, floored};
  auto gradients = differentiate(graph, loss, variables);
  ASSERT_TRUE(gradients.ok()) << gradients.error().message;
  EXPECT_NE((*gradients)[0], nullptr);
  EXPECT_EQ((*gradients)[1], nullptr);
  EXPECT_EQ((*gradients)[2], nullptr);
}

TEST(Differentiate, TheLossItselfHasGradientOne) {
  Graph graph;
  Value* x = graph.add_input("x", f32({}));
  auto gradients = differentiate(graph, x, std::span<Value* const>(&x, 1));
  ASSERT_TRUE(gradients.ok());
  graph.outputs = {{"dx", (*gradients)[0]}};
  EXPECT_EQ(evaluate(graph, {Tensor::scalar(5.f)})->outputs[0].tensor().double_at(0), 1);
}

TEST(Differentiate, TheLossMustBeOneElement) {
  Graph graph;
  Value* x = graph.add_input("x", f32({3}));
  Value* i = graph.add_input("i", Type::tensor(DType::kI64, Shape{}));
  auto error = [&](Value* loss) {
    return differentiate(graph, loss, std::span<Value* const>(&x, 1)).error().message;
  };
  EXPECT_EQ(error(x), "the loss must be one floating point element, 'x' is f32[3]");
  EXPECT_THAT(error(i), HasSubstr("'i' is i64[]"));
}

// Gradients of values inside of a graph, some of them results of ops that decompose.
TEST(Differentiate, VariablesSurviveDecomposition) {
  Graph graph;
  Value* x = graph.add_input("x", f32({2, 3}));
  GraphBuilder b(graph);
  Value* normalized = b.op("MeanVarianceNormalization", {x}, {{"axes", std::vector<int64_t>{1}}});
  Value* loss = b.reduce_sum(b.mul(normalized, normalized), {0, 1}, false);
  Value* variables[] = {x, normalized};
  size_t outputs = graph.outputs.size();
  auto gradients = differentiate(graph, loss, variables);
  ASSERT_TRUE(gradients.ok()) << gradients.error().message;
  EXPECT_EQ(graph.outputs.size(), outputs);
  ASSERT_NE((*gradients)[1], nullptr);
  graph.outputs = {{"dx", (*gradients)[0]}, {"dn", (*gradients)[1]}};
  Status status = verify(graph);
  EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().message);
  EXPECT_TRUE(evaluate(graph, {Tensor::from<float>({2, 3}, {1, 2, 4, 0, 1, 0})}).ok());
}

TEST(Differentiate, AnErrorLeavesTheOutputsAlone) {
  Graph graph;
  Value* x = graph.add_input("x", f32({3}));
  Value* pads = graph.add_input("pads", Type::tensor(DType::kI64, Shape{2}));
  GraphBuilder b(graph, nullptr, "block");
  Value* loss = sum_of(b, b.op("Pad", {x, pads}));
  graph.outputs = {{"loss", loss}};
  auto gradients = differentiate(graph, loss, std::span<Value* const>(&x, 1));
  ASSERT_FALSE(gradients.ok());
  EXPECT_EQ(gradients.error().message, "node 'block/v_1' (Pad): the gradient needs the pads, which are not known");
  EXPECT_EQ(graph.outputs.size(), 1u);
}

// What the gradient passes by is not looked at: no rule is asked for, nothing is decomposed.
TEST(Differentiate, NodesOffThePathStay) {
  Graph g;
  Value* x = g.add_input("x", f32({3}));
  Value* other = g.add_input("other", f32({1, 2, 4}));
  GraphBuilder b(g);
  Value* normalized = b.op("MeanVarianceNormalization", {other}, {{"axes", std::vector<int64_t>{2}}});
  Value* loss = sum_of(b, b.mul(x, x));
  g.outputs = {{"loss", loss}, {"normalized", normalized}};
  ASSERT_TRUE(differentiate(g, loss, std::span<Value* const>(&x, 1)).ok());
  EXPECT_EQ(g.outputs[1].value->producer()->op().name, "MeanVarianceNormalization");
}

TEST(Differentiate, GradientNodesAreNamedAfterTheirNode) {
  auto graph = parse_graph(R"(graph "g"(%x: f32[3]) {
  %y = Exp(%x) "layer/exp"
  %loss = ReduceSum(%y) {keepdims = 0} "sum"
  return %loss
})");
  ASSERT_TRUE(graph.ok()) << graph.error().message;
  Value* x = (*graph)->inputs()[0];
  auto gradients = differentiate(**graph, (*graph)->outputs[0].value, std::span<Value* const>(&x, 1));
  ASSERT_TRUE(gradients.ok());
  EXPECT_THAT((*gradients)[0]->producer()->name, testing::StartsWith("gradient/layer/exp"));
}

}  // namespace
}  // namespace gannet
