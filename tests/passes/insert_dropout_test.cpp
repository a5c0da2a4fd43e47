#include "passes/insert_dropout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ir/evaluate.h"
#include "ir/op.h"
#include "ir/parse.h"
#include "ir/verify.h"
#include "passes/build_train_step.h"

namespace gannet {
namespace {

using testing::HasSubstr;

constexpr std::string_view kModel = R"(graph "g"(%x: f64[n, 4]) {
  state %w: f64[4, 4] = f64[4, 4] {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1} "w"
  %h = MatMul(%x, %w) "dense"
  %d = Dropout(%h) "drop"
  %y = Neg(%d) "last"
  return %y
})";

std::unique_ptr<Graph> parsed() {
  auto graph = parse_graph(kModel);
  EXPECT_TRUE(graph.ok()) << (graph.ok() ? "" : graph.error().message);
  return *std::move(graph);
}

Tensor ones(int64_t rows) {
  Tensor x = Tensor::zeros(DType::kF64, {rows, 4});
  for (double& value : x.mutable_data<double>()) value = 1;
  return x;
}

TrainStep step_with(std::vector<DropoutRule> rules) {
  TrainStepOptions options;
  options.loss.kind = Loss::kL1;
  options.dropout = std::move(rules);
  options.prediction = true;
  auto step = build_train_step(*parsed(), options);
  EXPECT_TRUE(step.ok()) << (step.ok() ? "" : step.error().message);
  EXPECT_TRUE(verify(*step->graph).ok());
  return *std::move(step);
}

EvaluateResult run(const TrainStep& step, int64_t seed, int64_t rows) {
  std::vector<Datum> inputs = {ones(rows), Tensor::scalar(seed), Tensor::zeros(DType::kF64, {rows, 4}),
                               Tensor::scalar(1.0)};
  auto result = evaluate(*step.graph, std::move(inputs));
  EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
  return *std::move(result);
}

TEST(InsertDropout, WhatIsDroppedFollowsFromTheSeed) {
  TrainStep step = step_with({{"dense", 0.25}});
  EXPECT_EQ(step.graph->inputs()[1]->name, "seed");
  Tensor first = run(step, 7, 1000).outputs[1].tensor();
  EXPECT_TRUE(first.identical(run(step, 7, 1000).outputs[1].tensor()));
  EXPECT_FALSE(first.identical(run(step, 8, 1000).outputs[1].tensor()));
  int dropped = 0;
  for (double value : first.data<double>()) {
    if (value == 0)
      ++dropped;
    else
      EXPECT_NEAR(value, -1 / 0.75, 1e-12);
  }
  EXPECT_NEAR(dropped, 1000, 120);
}

// d(sum |y|)/dw[i][j] counts the rows whose element j was kept.
TEST(InsertDropout, TheGradientDropsTheSameElements) {
  TrainStep step = step_with({{"d", 0.5}});
  EvaluateResult result = run(step, 3, 8);
  auto y = result.outputs[1].tensor().data<double>();
  for (size_t j = 0; j < 4; ++j) {
    double kept = 0;
    for (size_t row = 0; row < 8; ++row) kept += y[4 * row + j] != 0 ? 2.0 : 0.0;
    double update = (j == 0 ? 1.0 : 0.0) - result.state_outputs[0].double_at(static_cast<int64_t>(j));
    EXPECT_NEAR(update, kept / 32, 1e-12);
  }
  for_each_node(*step.graph, [](const Node& node) { EXPECT_NE(node.op().name, "Dropout"); });
}

TEST(InsertDropout, RulesMustMatch) {
  auto graph = parsed();
  Value* seed = graph->add_input("seed", Type::tensor(DType::kI64, Shape{}));
  EXPECT_THAT(
      insert_dropout(*graph, std::vector<DropoutRule>{{"dense", 0.1}, {"other*", 0.1}}, seed).error().message,
      HasSubstr("'other*'"));
  EXPECT_THAT(insert_dropout(*graph, std::vector<DropoutRule>{{"dense", 1}}, seed).error().message,
              HasSubstr("below 1, got 1"));
  auto count = insert_dropout(*graph, std::vector<DropoutRule>{{"*", 0.1}}, seed);
  ASSERT_TRUE(count.ok());
  EXPECT_EQ(*count, 3);
  EXPECT_TRUE(verify(*graph).ok());
}

}  // namespace
}  // namespace gannet
