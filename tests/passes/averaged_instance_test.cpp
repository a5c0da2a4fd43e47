#include "passes/averaged_instance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ir/evaluate.h"
#include "ir/op.h"
#include "ir/parse.h"
#include "ir/verify.h"
#include "passes/build_train_step.h"

namespace gannet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view kModel = R"(graph "g"(%x: f64[n, 2]) {
  state %w: f64[2, 3] = f64[2, 3] {1, 0, -1, 0.5, 2, 0} "w"
  state %scale: f64[3] = f64[3] {1, 1, 1} "scale"
  state %shift: f64[3] = f64[3] {0, 0, 0} "shift"
  state %mean: f64[3] = f64[3] {0, 0, 0} "mean"
  state %variance: f64[3] = f64[3] {1, 1, 1} "variance"
  %h = MatMul(%x, %w) "dense"
  %n = BatchNormalization(%h, %scale, %shift, %mean, %variance)
  %y = Softmax(%n) {axis = 1}
  return %y as "y"
})";

std::unique_ptr<Graph> model() {
  auto graph = parse_graph(kModel);
  EXPECT_TRUE(graph.ok()) << (graph.ok() ? "" : graph.error().message);
  return *std::move(graph);
}

TrainStepOptions options_with(double decay) {
  TrainStepOptions options;
  options.weak = WeakLossOptions{WeakMethod::kMeanTeacher, 1, 0};
  options.optimizer.ema_decay = decay;
  options.optimizer.ema_warmup = true;
  return options;
}

std::vector<std::string> names_of(const std::vector<State>& states) {
  std::vector<std::string> names;
  for (const State& state : states) names.push_back(state.name);
  return names;
}

Tensor rows(double phase) {
  Tensor x = Tensor::zeros(DType::kF64, {6, 2});
  for (size_t i = 0; i < 12; ++i)
    x.mutable_data<double>()[i] = std::sin(2.3 * static_cast<double>(i) + phase);
  return x;
}

std::vector<Datum> inputs(double last, double phase = 0) {
  return {rows(phase),
          rows(phase + 1),
          Tensor::from<int64_t>({3, 1}, {0, -1, 2}),
          Tensor::from<double>({3}, {1, 1, 1}),
          Tensor::from<int64_t>({3}, {2, 0, 1}),
          Tensor::scalar(last)};
}

double element(const Graph& graph, const std::vector<Tensor>& states, const std::string& name, int64_t i) {
  for (size_t k = 0; k < graph.states.size(); ++k) {
    if (graph.states[k].name == name) return states[k].double_at(i);
  }
  ADD_FAILURE() << "no state " << name;
  return 0;
}

// Weights are averaged by the optimizer, statistics follow the teacher's own batches.
TEST(AveragedInstance, ReadsTheAveragesAndHasStatisticsOfItsOwn) {
  auto graph = model();
  auto step = build_train_step(*graph, options_with(0.9));
  ASSERT_TRUE(step.ok()) << step.error().message;
  const Status status = verify(*step->graph);
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_THAT(names_of(step->graph->states),
              ElementsAre("w", "scale", "shift", "mean", "variance", "train.step", "ema/w", "ema/scale",
                          "ema/shift", "ema/mean", "ema/variance"));
  EXPECT_THAT(step->running_statistics, ElementsAre("mean", "variance"));
  std::vector<std::string> names;
  for (const Value* input : step->graph->inputs())
    names.push_back(input->name + ": " + to_string(input->type));
  EXPECT_THAT(names,
              ElementsAre("x: f64[n, 2]", "teacher/x: f64[n, 2]", "hidden_label: i64[floordiv(n, 2), 1]",
                          "unlabeled_weight: f64[floordiv(n, 2)]", "target: i64[floordiv(n, 2)]",
                          "learning_rate: f64[]"));
  auto result = evaluate(*step->graph, inputs(0.1));
  ASSERT_TRUE(result.ok()) << result.error().message;
  const Graph& trained = *step->graph;
  const double w[] = {1, 0, -1, 0.5, 2, 0};
  for (int64_t i = 0; i < 6; ++i) {
    const double next = element(trained, result->state_outputs, "w", i);
    EXPECT_NE(next, w[i]);
    // The first decay is 1 - 1 / 2.
    EXPECT_NEAR(element(trained, result->state_outputs, "ema/w", i), (w[i] + next) / 2, 1e-15);
  }
  for (int64_t c = 0; c < 3; ++c) {
    double mean = 0;
    for (int64_t row = 0; row < 6; ++row)
      mean += (rows(1).double_at(2 * row) * w[c] + rows(1).double_at(2 * row + 1) * w[3 + c]) / 6;
    EXPECT_NEAR(element(trained, result->state_outputs, "ema/mean", c), 0.1 * mean, 1e-14);
    EXPECT_NE(element(trained, result->state_outputs, "mean", c),
              element(trained, result->state_outputs, "ema/mean", c));
  }
}

// Until the first update teacher and student have the same weights, so of the same rows they say the same.
TEST(AveragedInstance, SaysTheSameOfTheSameRowsAtFirst) {
  auto graph = model();
  auto step = build_train_step(*graph, options_with(0.9));
  ASSERT_TRUE(step.ok()) << step.error().message;
  std::vector<Datum> same = inputs(0.1);
  same[1] = same[0];
  auto result = evaluate(*step->graph, same);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->outputs[1].tensor().double_at(0), 0);
  auto next = evaluate(*step->graph, same, {}, result->state_outputs);
  ASSERT_TRUE(next.ok());
  EXPECT_GT(next->outputs[1].tensor().double_at(0), 0);
}

// One batch, added up and applied, moves everything as a step does.
TEST(AveragedInstance, AccumulatesToTheSameUpdate) {
  auto graph = model();
  TrainStepOptions options = options_with(0.9);
  auto whole = build_train_step(*graph, options);
  options.accumulate = true;
  auto parts = build_train_step(*graph, options);
  ASSERT_TRUE(whole.ok() && parts.ok()) << (parts.ok() ? "" : parts.error().message);
  const Status verified = verify(*parts->graph);
  ASSERT_TRUE(verified.ok()) << verified.error().message;
  auto expected = evaluate(*whole->graph, inputs(0.1));
  auto summed = evaluate(*parts->graph, inputs(1));
  ASSERT_TRUE(expected.ok() && summed.ok()) << (summed.ok() ? "" : summed.error().message);
  std::vector<Tensor> states;
  for (const State& state : parts->apply->states) {
    const auto& own = parts->graph->states;
    const auto found = std::ranges::find(own, state.name, &State::name);
    states.push_back(found == own.end() ? state.initial
                                        : summed->state_outputs[static_cast<size_t>(found - own.begin())]);
  }
  auto applied = evaluate(*parts->apply, {Tensor::scalar(0.1)}, {}, states);
  ASSERT_TRUE(applied.ok()) << applied.error().message;
  for (const std::string name : {"w", "scale", "shift", "ema/w", "ema/scale", "ema/shift"}) {
    for (int64_t i = 0; i < 3; ++i) {
      EXPECT_NEAR(element(*parts->apply, applied->state_outputs, name, i),
                  element(*whole->graph, expected->state_outputs, name, i), 1e-14)
          << name;
    }
  }
  EXPECT_EQ(element(*parts->graph, summed->state_outputs, "ema/mean", 0),
            element(*whole->graph, expected->state_outputs, "ema/mean", 0));
}

TEST(AveragedInstance, DropsOtherElementsThanTheStudent) {
  auto graph = model();
  TrainStepOptions options = options_with(0.9);
  options.dropout = {{"dense", 0.5}};
  auto step = build_train_step(*graph, options);
  ASSERT_TRUE(step.ok()) << step.error().message;
  std::vector<int64_t> streams;
  for (const auto& node : step->graph->nodes()) {
    const bool forward = node->op().name == "SeededDropout" && !node->name.starts_with("gradient");
    if (forward) streams.push_back(node->attrs.integer("stream"));
  }
  EXPECT_THAT(streams, ElementsAre(0, 1));
  EXPECT_EQ(step->graph->inputs()[1]->name, "seed");
}

// A weight that does not change is the same for both.
TEST(AveragedInstance, SharesWeightsThatStay) {
  auto graph = model();
  TrainStepOptions options = options_with(0.9);
  options.optimizer.rates = {{"w", 0}};
  auto step = build_train_step(*graph, options);
  ASSERT_TRUE(step.ok()) << step.error().message;
  EXPECT_TRUE(verify(*step->graph).ok());
  EXPECT_THAT(names_of(step->graph->states), testing::Not(testing::Contains("ema/w")));
  EXPECT_TRUE(evaluate(*step->graph, inputs(0.1)).ok());
}

TEST(AveragedInstance, WhatDoesNotFitIsRefused) {
  auto graph = model();
  EXPECT_EQ(build_train_step(*graph, options_with(0)).error().message,
            "a mean teacher needs a decay of its moving averages");
  auto picks = parse_graph(R"(graph "g"(%x: f64[n, 2]) {
  state %w: f64[2, 3] = f64[2, 3] {1, 0, -1, 0.5, 2, 0} "w"
  %y = MatMul(%x, %w)
  %i = NonZero(%x) "places"
  %c = Cast(%i) {to = f64}
  %s = ReduceSum(%c)
  %z = Add(%y, %s)
  return %z as "z"
})");
  ASSERT_TRUE(picks.ok()) << picks.error().message;
  EXPECT_THAT(build_train_step(**picks, options_with(0.9)).error().message,
              HasSubstr("node 'places' (NonZero): its shape depends on data"));
}

}  // namespace
}  // namespace gannet
