#include "passes/build_train_step.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ir/builder.h"
#include "ir/evaluate.h"
#include "ir/op.h"
#include "ir/parse.h"
#include "ir/verify.h"

namespace gannet {
namespace {

using testing::HasSubstr;

constexpr std::string_view kClassifier = R"(graph "classifier"(%x: f32[n, 2]) {
  state %w: f32[2, 3] = f32[2, 3] {1, 0, -1, 0.5, 2, 0} "w"
  state %unused: f32[2] = f32[2] {1, 2} "unused"
  %logits = MatMul(%x, %w)
  %probabilities = Softmax(%logits) {axis = 1}
  %class = ArgMax(%probabilities) {axis = 1}
  return %class as "class", %probabilities as "probabilities", %logits as "logits"
})";

std::unique_ptr<Graph> parsed(std::string_view text) {
  auto graph = parse_graph(text);
  EXPECT_TRUE(graph.ok()) << (graph.ok() ? "" : graph.error().message);
  return graph.ok() ? *std::move(graph) : std::make_unique<Graph>();
}

std::vector<std::string> input_names(const Graph& graph) {
  std::vector<std::string> names;
  for (const Value* input : graph.inputs()) names.push_back(input->name + ": " + to_string(input->type));
  return names;
}

TEST(BuildTrainStep, ASoftmaxIsTrainedOnItsLogits) {
  auto model = parsed(kClassifier);
  auto step = build_train_step(*model, Loss::kCrossEntropy);
  ASSERT_TRUE(step.ok()) << step.error().message;
  EXPECT_EQ(step->trained_output, "probabilities");
  EXPECT_EQ(step->skipped_ending, "Softmax");
  EXPECT_THAT(input_names(*step->graph),
              testing::ElementsAre("x: f32[n, 2]", "target: i64[n]", "learning_rate: f32[]"));
  ASSERT_EQ(step->graph->outputs.size(), 1u);
  EXPECT_EQ(step->graph->outputs[0].name, "loss");
  EXPECT_EQ(step->graph->states[1].out, nullptr);
  for_each_node(*step->graph, [](const Node& node) { EXPECT_NE(node.op().name, "ArgMax"); });
  Status status = verify(*step->graph);
  EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().message);
  EXPECT_EQ(model->outputs.size(), 3u);
  EXPECT_EQ(model->states[0].out, nullptr);
}

// Another output that needs all rows is no output of the step.
TEST(BuildTrainStep, ComputesOnlyTheRowsThatTheLossReads) {
  auto model = parsed(R"(graph "g"(%x: f32[n, t, 2]) {
  state %w: f32[2, 2] = f32[2, 2] {1, 0.5, -1, 1} "w"
  %zero: i64[] = Constant() {value = i64[] {0}}
  %hidden = MatMul(%x, %w)
  %logits = Gather(%hidden, %zero) {axis = 1}
  return %logits as "logits", %hidden as "hidden"
})");
  TrainStepOptions options;
  options.output_name = "logits";
  auto step = build_train_step(*model, options);
  ASSERT_TRUE(step.ok()) << step.error().message;
  std::vector<std::string> products;
  for (const auto& node : step->graph->nodes()) {
    if (node->op().name == "MatMul") products.push_back(to_string(node->output()->type));
  }
  EXPECT_THAT(products, testing::ElementsAre("f32[n, 1, 2]", testing::_));
  EXPECT_EQ(model->outputs.size(), 2u);
}

// One step by hand: the gradient of cross entropy with respect to the logits is (softmax - one-hot) / batch.
TEST(BuildTrainStep, AStepIsGradientDescent) {
  auto model = parsed(kClassifier);
  auto step = build_train_step(*model, Loss::kCrossEntropy);
  ASSERT_TRUE(step.ok()) << step.error().message;
  Tensor x = Tensor::from<float>({2, 2}, {1, 2, -1, 0.5f});
  auto result = evaluate(*step->graph, {x, Tensor::from<int64_t>({2}, {2, 0}), Tensor::scalar(0.1f)});
  ASSERT_TRUE(result.ok()) << result.error().message;
  const double w[2][3] = {{1, 0, -1}, {0.5, 2, 0}}, in[2][2] = {{1, 2}, {-1, 0.5}};
  const int label[2] = {2, 0};
  double loss = 0, gradient[2][3] = {};
  for (int row = 0; row < 2; ++row) {
    double logits[3], total = 0;
    for (int k = 0; k < 3; ++k)
      logits[k] = in[row][0] * w[0][k] + in[row][1] * w[1][k], total += std::exp(logits[k]);
    loss += (std::log(total) - logits[label[row]]) / 2;
    for (int k = 0; k < 3; ++k) {
      double d = (std::exp(logits[k]) / total - (k == label[row])) / 2;
      for (int i = 0; i < 2; ++i) gradient[i][k] += in[row][i] * d;
    }
  }
  EXPECT_NEAR(result->outputs[0].tensor().double_at(0), loss, 1e-6);
  for (int i = 0; i < 6; ++i) {
    EXPECT_NEAR(result->state_outputs[0].double_at(i), w[i / 3][i % 3] - 0.1 * gradient[i / 3][i % 3], 1e-6)
        << i;
  }
  EXPECT_TRUE(result->state_outputs[1].identical(model->states[1].initial));
}

TEST(BuildTrainStep, TheOutputCanBeChosen) {
  auto model = parsed(kClassifier);
  auto logits = build_train_step(*model, Loss::kCrossEntropy, "logits");
  ASSERT_TRUE(logits.ok());
  EXPECT_EQ(logits->skipped_ending, "");
  EXPECT_EQ(build_train_step(*model, Loss::kCrossEntropy, "class").error().message,
            "output 'class' is i64[n, 1], a loss needs floating point");
  EXPECT_EQ(build_train_step(*model, Loss::kCrossEntropy, "other").error().message,
            "the model has no output 'other'; it has 'class', 'probabilities', 'logits'");
}

TEST(BuildTrainStep, MeanSquaredErrorKeepsTheEnding) {
  auto model = parsed(kClassifier);
  auto step = build_train_step(*model, Loss::kMse);
  ASSERT_TRUE(step.ok()) << step.error().message;
  EXPECT_EQ(step->skipped_ending, "");
  EXPECT_THAT(input_names(*step->graph), testing::Contains("target: f32[n, 3]"));
  Tensor x = Tensor::zeros(DType::kF32, {4, 2}), target = Tensor::zeros(DType::kF32, {4, 3});
  auto result = evaluate(*step->graph, {x, target, Tensor::scalar(0.f)});
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_NEAR(result->outputs[0].tensor().double_at(0), 1.0 / 9, 1e-7);
  EXPECT_TRUE(result->state_outputs[0].identical(model->states[0].initial));
}

// Global pooling leaves [batch, classes, 1, 1]; labels have no such dimensions.
TEST(BuildTrainStep, LabelsDropTrailingOnes) {
  auto model = parsed(R"(graph "g"(%x: f32[n, 2, 4, 4]) {
  state %w: f32[5, 2, 1, 1] = f32[5, 2, 1, 1] {1, 2, 3, 4, 5, 6, 7, 8, 9, 10} "w"
  %c = Conv(%x, %w)
  %p = GlobalAveragePool(%c)
  return %p
})");
  auto step = build_train_step(*model, Loss::kCrossEntropy);
  ASSERT_TRUE(step.ok()) << step.error().message;
  EXPECT_THAT(input_names(*step->graph), testing::Contains("target: i64[n]"));
  Tensor x = Tensor::zeros(DType::kF32, {2, 2, 4, 4});
  auto result = evaluate(*step->graph, {x, Tensor::from<int64_t>({2}, {1, 4}), Tensor::scalar(1.f)});
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_NEAR(result->outputs[0].tensor().double_at(0), std::log(5.0), 1e-6);
}

TEST(BuildTrainStep, WhatDoesNotFitIsNamed) {
  auto flat = parsed(R"(graph "g"(%x: f32[n]) {
  state %w: f32[1] = f32[1] {1} "w"
  %y = Mul(%x, %w)
  return %y
})");
  EXPECT_THAT(build_train_step(*flat, Loss::kCrossEntropy).error().message, HasSubstr("[batch, classes]"));
  EXPECT_TRUE(build_train_step(*flat, Loss::kMse).ok());
  auto missing = parsed(R"(graph "g"(%x: f32[2, 3], %pads: i64[4]) {
  state %w: f32[3] = f32[3] {1, 2, 3} "w"
  %y = Mul(%x, %w)
  %padded = Pad(%y, %pads) "border"
  return %padded
})");
  EXPECT_EQ(build_train_step(*missing, Loss::kMse).error().message,
            "node 'border' (Pad): the gradient needs the pads, which are not known");
  auto integers = parsed(R"(graph "g"(%x: i64[2]) { return %x })");
  EXPECT_EQ(build_train_step(*integers, Loss::kMse).error().message,
            "no floating point output of the model depends on a weight that is trained");
}

TEST(BuildTrainStep, AnOutputWithoutWeightsIsPassedOver) {
  auto model = parsed(R"(graph "g"(%x: f32[n, 2]) {
  state %w: f32[2, 2] = f32[2, 2] {1, 2, 3, 4} "w"
  %y = MatMul(%x, %w)
  return %x as "x", %y as "y"
})");
  auto step = build_train_step(*model, Loss::kMse);
  ASSERT_TRUE(step.ok());
  EXPECT_EQ(step->trained_output, "y");
  EXPECT_EQ(build_train_step(*model, Loss::kMse, "x").error().message,
            "output 'x' depends on no weight that is trained");
}

TEST(BuildTrainStep, AModelsOwnNamesDoNotClash) {
  auto model = parsed(R"(graph "g"(%target: f32[n, 2], %learning_rate: f32[]) {
  state %w: f32[2, 2] = f32[2, 2] {1, 2, 3, 4} "w"
  %y = MatMul(%target, %w)
  %z = Mul(%y, %learning_rate)
  return %z
})");
  auto step = build_train_step(*model, Loss::kMse);
  ASSERT_TRUE(step.ok()) << step.error().message;
  ASSERT_EQ(step->graph->inputs().size(), 4u);
  EXPECT_EQ(to_string(step->graph->inputs()[2]->type), "f32[n, 2]");
  EXPECT_TRUE(verify(*step->graph).ok());
}

// Two halves of a batch, each half of the update, are the whole batch.
TEST(BuildTrainStep, AccumulatedHalvesAreOneBatch) {
  auto model = parsed(kClassifier);
  TrainStepOptions options;
  options.optimizer = {.kind = Optimizer::kAdamW, .weight_decay = 0.1, .clip_norm = 0.3};
  options.gradient_norm = true;
  auto whole = build_train_step(*model, options);
  options.accumulate = true;
  auto parts = build_train_step(*model, options);
  ASSERT_TRUE(whole.ok() && parts.ok());
  EXPECT_THAT(parts->weights, testing::ElementsAre("w"));
  EXPECT_EQ(whole->weights, parts->weights);
  Tensor x = Tensor::from<float>({2, 2}, {1, 2, -1, 0.5f}), target = Tensor::from<int64_t>({2}, {2, 0});
  auto expected = evaluate(*whole->graph, {x, target, Tensor::scalar(0.1f)});
  ASSERT_TRUE(expected.ok()) << expected.error().message;

  std::map<std::string, Tensor> states;
  auto run = [&](const Graph& graph, std::vector<Datum> inputs) {
    EXPECT_TRUE(verify(graph).ok());
    std::vector<Tensor> before;
    for (const State& state : graph.states) before.push_back(states.try_emplace(state.name, state.initial).first->second);
    auto result = evaluate(graph, std::move(inputs), {}, before);
    EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
    for (size_t i = 0; i < graph.states.size(); ++i) states[graph.states[i].name] = result->state_outputs[i];
    return result->outputs[0].tensor().double_at(0);
  };
  double loss = 0;
  for (int row = 0; row < 2; ++row) {
    Tensor rows = Tensor::from<float>({1, 2}, x.data<float>().subspan(static_cast<size_t>(2 * row), 2));
    Tensor label = Tensor::from<int64_t>({1}, {target.int_at(row)});
    loss += run(*parts->graph, {rows, label, Tensor::scalar(0.5f)}) / 2;
  }
  double norm = run(*parts->apply, {Tensor::scalar(0.1f)});
  EXPECT_NEAR(loss, expected->outputs[0].tensor().double_at(0), 1e-6);
  EXPECT_NEAR(norm, expected->outputs[1].tensor().double_at(0), 1e-6);
  for (size_t i = 0; i < whole->graph->states.size(); ++i) {
    const Tensor& found = states.at(whole->graph->states[i].name);
    for (int64_t k = 0; k < found.elements(); ++k) EXPECT_NEAR(found.double_at(k), expected->state_outputs[i].double_at(k), 1e-6);
  }
  for (int64_t k = 0; k < 6; ++k) EXPECT_EQ(states.at("gradient/w").double_at(k), 0);
}

TEST(BuildTrainStep, TheLossReadsWhatComesBeforeARounding) {
  auto model = parsed(R"(graph "g"(%x: f32[n, 2]) {
  state %w: f32[2, 2] = f32[2, 2] {1, 2, 3, 4} "w"
  %y = MatMul(%x, %w)
  %p = Softmax(%y) {axis = 1}
  %narrow = Cast(%p) {to = f16}
  return %narrow
})");
  auto step = build_train_step(*model, Loss::kCrossEntropy);
  ASSERT_TRUE(step.ok()) << step.error().message;
  EXPECT_EQ(step->skipped_ending, "Softmax");
  EXPECT_EQ(step->graph->outputs[0].value->type.dtype, DType::kF32);
}

TEST(BuildTrainStep, BatchStatisticsAreFollowedWhereTheyAreState) {
  auto model = parsed(R"(graph "g"(%x: f64[n, 2]) {
  state %scale: f64[2] = f64[2] {1, 2} "scale"
  state %bias: f64[2] = f64[2] {0, 1} "bias"
  state %mean: f64[2] = f64[2] {1, 1} "mean"
  state %variance: f64[2] = f64[2] {4, 9} "variance"
  %y = BatchNormalization(%x, %scale, %bias, %mean, %variance)
  return %y
})");
  TrainStepOptions options;
  options.loss.kind = Loss::kMse;
  options.batch_norm_momentum = 0.75;
  options.prediction = true;
  auto step = build_train_step(*model, options);
  ASSERT_TRUE(step.ok()) << step.error().message;
  EXPECT_THAT(step->running_statistics, testing::ElementsAre("mean", "variance"));
  EXPECT_THAT(step->weights, testing::ElementsAre("scale", "bias"));
  EXPECT_TRUE(verify(*step->graph).ok());
  EXPECT_THAT(input_names(*step->graph), testing::Contains("learning_rate: f64[]"));
  Tensor x = Tensor::from<double>({2, 2}, {1, 5, 3, 9}), target = Tensor::zeros(DType::kF64, {2, 2});
  auto result = evaluate(*step->graph, {x, target, Tensor::scalar(0.0)});
  ASSERT_TRUE(result.ok()) << result.error().message;
  const Tensor prediction = result->outputs[1].tensor();
  EXPECT_NEAR(prediction.double_at(0), -1 / std::sqrt(1 + 1e-5), 1e-8);
  // Means 2 and 7; unbiased variances 2 and 8.
  EXPECT_NEAR(result->state_outputs[2].double_at(0), 0.75 * 1 + 0.25 * 2, 1e-15);
  EXPECT_NEAR(result->state_outputs[2].double_at(1), 0.75 * 1 + 0.25 * 7, 1e-15);
  EXPECT_NEAR(result->state_outputs[3].double_at(0), 0.75 * 4 + 0.25 * 2, 1e-15);
  EXPECT_NEAR(result->state_outputs[3].double_at(1), 0.75 * 9 + 0.25 * 8, 1e-15);
}

}  // namespace
}  // namespace gannet
