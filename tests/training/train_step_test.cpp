#include <gtest/gtest.h>

#include <cmath>

#include "ir/base/random.h"
#include "ir/builder.h"
#include "ir/evaluate.h"
#include "passes/build_train_step.h"
#include "passes/weights_to_state.h"
#include "runtime/training/batches.h"

namespace gannet {
namespace {

// A perceptron with one hidden layer, as an exporter would write it.
struct Perceptron {
  Graph graph;
  GraphBuilder b{graph};
  Random random{3};
  int64_t offset = 0;

  Value* weight(const std::string& name, std::vector<int64_t> extents, double range) {
    Tensor tensor = Tensor::zeros(DType::kF32, std::move(extents));
    if (range > 0) random.fill_uniform(tensor.mutable_data<float>(), -range, range);
    Value* constant = graph.add_constant(tensor, name);
    constant->origin = Origin{name, offset++};
    return constant;
  }

  Value* dense(Value* x, const std::string& name, int64_t wide, int64_t deep, double range) {
    Value* w = weight(name + ".weight", {wide, deep}, range);
    return b.op("Gemm", {x, w, weight(name + ".bias", {wide}, 0)}, {{"transB", int64_t{1}}});
  }

  Perceptron(int64_t classes, bool softmax) {
    constexpr int64_t kHidden = 16;
    Value* x = graph.add_input("x", Type::tensor(DType::kF32, Shape{Dim::symbol("batch"), 2}));
    Value* h = dense(x, "hidden", kHidden, 2, 1);
    Value* y = dense(b.op("Tanh", {h}), "out", classes, kHidden, 0.5);
    if (softmax) y = b.op("Softmax", {y}, {{"axis", int64_t{1}}});
    graph.outputs = {{"y", y}};
  }
};

// Points of the square; the class is whether their coordinates differ in sign.
struct Quadrants {
  Tensor points = Tensor::zeros(DType::kF32, {256, 2});
  Tensor labels = Tensor::zeros(DType::kI64, {256});
  Tensor signs = Tensor::zeros(DType::kF32, {256, 1});

  Quadrants() {
    Random random(11);
    auto x = points.mutable_data<float>();
    for (size_t i = 0; i < 256; ++i) {
      for (size_t k = 0; k < 2; ++k) {
        double size = random.uniform(0.2, 1);
        x[2 * i + k] = static_cast<float>(random.below(2) ? size : -size);
      }
      bool differ = (x[2 * i] > 0) != (x[2 * i + 1] > 0);
      labels.mutable_data<int64_t>()[i] = differ;
      signs.mutable_data<float>()[i] = differ ? 1.f : -1.f;
    }
  }
};

// The mean loss of each epoch.
std::vector<double> train(const TrainStep& step, Tensor points, Tensor targets, int epochs, float rate,
                          std::vector<Tensor>& weights) {
  auto batches = Batches::make({{"x", std::move(points)}, {"target", std::move(targets)}}, 32, 5);
  EXPECT_TRUE(batches.ok());
  std::vector<double> losses;
  for (int epoch = 0; epoch < epochs; ++epoch) {
    batches->start_epoch(epoch);
    double sum = 0;
    for (int64_t i = 0; i < batches->per_epoch(); ++i) {
      std::vector<Tensor> batch = batches->batch(i);
      auto result = evaluate(*step.graph, {batch[0], batch[1], Tensor::scalar(rate)}, {}, weights);
      EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
      if (!result.ok()) return losses;
      sum += result->outputs[0].tensor().double_at(0);
      weights = std::move(result->state_outputs);
    }
    losses.push_back(sum / static_cast<double>(batches->per_epoch()));
  }
  return losses;
}

std::vector<Tensor> initial_weights(const Graph& graph) {
  std::vector<Tensor> weights;
  for (const State& state : graph.states) weights.push_back(state.initial);
  return weights;
}

TEST(TrainStep, APerceptronLearnsToTellQuadrants) {
  Perceptron model(2, true);
  ASSERT_TRUE(model.b.status().ok()) << model.b.status().error().message;
  auto report = weights_to_state(model.graph);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report->trained.size(), 4u);
  auto step = build_train_step(model.graph, Loss::kCrossEntropy);
  ASSERT_TRUE(step.ok()) << step.error().message;
  Quadrants data;
  std::vector<Tensor> weights = initial_weights(model.graph);
  std::vector<double> losses = train(*step, data.points, data.labels, 60, 0.5f, weights);
  ASSERT_EQ(losses.size(), 60u);
  EXPECT_GT(losses.front(), 0.5);
  EXPECT_LT(losses.back(), 0.1);
  // The model itself, with the trained weights, gives the classes.
  auto result = evaluate(model.graph, {data.points}, {}, weights);
  ASSERT_TRUE(result.ok()) << result.error().message;
  auto probabilities = result->outputs[0].tensor().data<float>();
  auto labels = data.labels.data<int64_t>();
  int right = 0;
  for (size_t i = 0; i < 256; ++i)
    right += (probabilities[2 * i + 1] > probabilities[2 * i]) == (labels[i] == 1);
  EXPECT_GE(right, 250);
}

TEST(TrainStep, ARegressionLearnsAsWell) {
  Perceptron model(1, false);
  ASSERT_TRUE(weights_to_state(model.graph).ok());
  auto step = build_train_step(model.graph, Loss::kMse);
  ASSERT_TRUE(step.ok()) << step.error().message;
  Quadrants data;
  std::vector<Tensor> weights = initial_weights(model.graph);
  std::vector<double> losses = train(*step, data.points, data.signs, 60, 0.2f, weights);
  ASSERT_EQ(losses.size(), 60u);
  EXPECT_LT(losses.back(), 0.25);
  EXPECT_LT(losses.back(), losses.front() / 3);
}

TEST(TrainStep, TheSameRunGivesTheSameBits) {
  Quadrants data;
  std::vector<std::vector<Tensor>> ends;
  for (int run = 0; run < 2; ++run) {
    Perceptron model(2, true);
    ASSERT_TRUE(weights_to_state(model.graph).ok());
    auto step = build_train_step(model.graph, Loss::kCrossEntropy);
    ASSERT_TRUE(step.ok());
    ends.push_back(initial_weights(model.graph));
    train(*step, data.points, data.labels, 3, 0.5f, ends.back());
  }
  for (size_t i = 0; i < ends[0].size(); ++i) EXPECT_TRUE(ends[0][i].identical(ends[1][i])) << i;
}

TEST(TrainStep, FrozenWeightsDoNotMove) {
  Perceptron model(2, true);
  auto report = weights_to_state(model.graph, {{"hidden.*"}});
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->frozen.size(), 2u);
  auto step = build_train_step(model.graph, Loss::kCrossEntropy);
  ASSERT_TRUE(step.ok());
  ASSERT_EQ(step->graph->states.size(), 2u);
  EXPECT_EQ(step->graph->states[0].name, "out.weight");
}

}  // namespace
}  // namespace gannet
