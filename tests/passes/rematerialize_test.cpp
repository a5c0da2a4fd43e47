#include "passes/rematerialize.h"

#include <gtest/gtest.h>

#include "ir/builder.h"
#include "ir/evaluate.h"
#include "ir/verify.h"
#include "passes/differentiate.h"
#include "passes/pass.h"
#include "tests/support/run_op.h"

namespace gannet::test {
namespace {

constexpr int64_t kBatch = 32, kWidth = 16, kLayers = 12;

// The gradients of a chain of layers y <- tanh(y * w) with respect to the weights, which are inputs.
void build_chain(Graph& graph, const Dim& batch, DType dtype = DType::kF64) {
  Value* y = graph.add_input("x", Type::tensor(dtype, Shape{batch, Dim(kWidth)}));
  std::vector<Value*> weights;
  GraphBuilder b(graph);
  for (int64_t i = 0; i < kLayers; ++i) {
    weights.push_back(graph.add_input("w", Type::tensor(dtype, Shape{Dim(kWidth), Dim(kWidth)})));
    y = b.op("Tanh", {b.matmul(y, weights.back())});
  }
  Value* loss = b.reduce_mean(b.mul(y, y), {0, 1}, false);
  auto gradients = differentiate(graph, loss, weights);
  ASSERT_TRUE(gradients.ok()) << gradients.error().message;
  for (Value* gradient : *gradients) graph.outputs.push_back({"g", gradient});
}

std::vector<Datum> operands() {
  std::vector<Datum> inputs = {random_tensor({kBatch, kWidth}, 1)};
  for (int64_t i = 0; i < kLayers; ++i) inputs.push_back(random_tensor({kWidth, kWidth}, 2 + static_cast<uint64_t>(i)));
  return inputs;
}

std::vector<double> results(const Graph& graph) {
  auto run = evaluate(graph, operands());
  EXPECT_TRUE(run.ok()) << run.error().message;
  std::vector<double> all;
  for (const Datum& output : run->outputs) {
    for (double number : numbers_of(output.tensor())) all.push_back(number);
  }
  return all;
}

TEST(Rematerialize, TheEstimateCountsWhatIsAliveAtOnce) {
  Graph graph;
  Value* x = graph.add_input("x", Type::tensor(DType::kF32, Shape{Dim::symbol("n")}));
  GraphBuilder b(graph);
  Value* y = b.op("Exp", {x});
  Value* z = b.op("Tanh", {y});
  graph.outputs = {{"s", b.op("Concat", {y, z}, {{"axis", int64_t{0}}})}};
  auto estimate = estimate_memory(graph, {{"n", 10}});
  ASSERT_TRUE(estimate.ok()) << estimate.error().message;
  EXPECT_EQ(estimate->resident, 40);
  EXPECT_EQ(estimate->peak, 40 + 40 + 40 + 80);
  EXPECT_FALSE(estimate_memory(graph, {}).ok());
}

TEST(Rematerialize, FitsALimitAndKeepsTheBits) {
  Graph graph;
  build_chain(graph, Dim(kBatch));
  const std::vector<double> expected = results(graph);
  const MemoryEstimate whole = *estimate_memory(graph, {});
  const int64_t limit = whole.resident + (whole.peak - whole.resident) * 3 / 4;
  auto done = rematerialize_to_fit(graph, limit, {});
  ASSERT_TRUE(done.ok()) << done.error().message;
  EXPECT_EQ(done->before.peak, whole.peak);
  EXPECT_LE(done->after.peak, limit);
  EXPECT_GT(done->nodes, 0);
  EXPECT_LT(done->extra_work, 0.5);
  Status sound = verify(graph);
  EXPECT_TRUE(sound.ok()) << (sound.ok() ? "" : sound.error().message);
  EXPECT_EQ(results(graph), expected);
}

TEST(Rematerialize, WhatCannotBeReachedEndsInTheLeast) {
  Graph graph, again;
  build_chain(graph, Dim::symbol("batch"));
  build_chain(again, Dim::symbol("batch"));
  const SymbolValues extents = {{"batch", kBatch}};
  auto least = rematerialize_to_fit(graph, 0, extents);
  ASSERT_TRUE(least.ok()) << least.error().message;
  EXPECT_GT(least->after.peak, 0);
  EXPECT_LT(least->after.peak, least->before.peak);
  auto reached = rematerialize_to_fit(again, least->after.peak, extents);
  ASSERT_TRUE(reached.ok());
  EXPECT_LE(reached->after.peak, least->after.peak);
}

TEST(Rematerialize, ThePassReportsWhatItReached) {
  Graph graph;
  build_chain(graph, Dim(kBatch));
  const int64_t before = estimate_memory(graph, {})->peak;
  PassContext context;
  context.memory.limit = before - kBatch * kWidth * 8;
  ASSERT_TRUE(run_passes(graph, "rematerialize", context).ok());
  EXPECT_LE(context.memory.peak, context.memory.limit);
  EXPECT_EQ(context.memory.peak, estimate_memory(graph, {})->peak);
}

// Random numbers are drawn once.
TEST(Rematerialize, DrawsNothingTwice) {
  Graph graph;
  Value* x = graph.add_input("x", Type::tensor(DType::kF32, Shape{64, 64}));
  GraphBuilder b(graph);
  Value* noise = b.op("RandomNormalLike", {x});
  Value* y = b.add(b.matmul(b.op("Exp", {b.mul(noise, x)}), x), noise);
  graph.outputs = {{"y", y}};
  ASSERT_TRUE(rematerialize_to_fit(graph, 0, {}).ok());
  int draws = 0;
  for (const auto& node : graph.nodes()) draws += node->op().random;
  EXPECT_EQ(draws, 1);
}

}  // namespace
}  // namespace gannet::test
