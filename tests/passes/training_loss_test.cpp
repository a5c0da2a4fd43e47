#include "passes/training_loss.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ir/evaluate.h"
#include "ir/verify.h"
#include "passes/differentiate.h"

namespace gannet {
namespace {

using testing::HasSubstr;

enum class Target { kLabels, kProbabilities, kValues, kBits };

Tensor target_of(Target kind) {
  if (kind == Target::kLabels) return Tensor::from<int64_t>({3, 2}, {2, 0, 1, 1, 0, 2});
  Tensor target = Tensor::zeros(DType::kF64, {3, 3, 2});
  auto t = target.mutable_data<double>();
  for (size_t i = 0; i < 18; ++i) {
    auto n = static_cast<int>(i);
    t[i] = kind == Target::kValues ? ((5 * n) % 9 - 4) / 2.0
           : kind == Target::kBits ? (3 * n) % 4 / 3.0
                                   : 1 + (7 * n) % 5;
  }
  if (kind != Target::kProbabilities) return target;
  for (size_t row = 0; row < 3; ++row) {
    for (size_t k = 0; k < 2; ++k) {
      double sum = t[6 * row + k] + t[6 * row + 2 + k] + t[6 * row + 4 + k];
      for (size_t c = 0; c < 3; ++c) t[6 * row + 2 * c + k] /= sum;
    }
  }
  return target;
}

// The loss of scores [batch, 3, 2] and its gradient.
struct Scene {
  Graph graph;
  GraphBuilder b{graph};
  Value* x = graph.add_input("x", Type::tensor(DType::kF64, Shape{Dim::symbol("batch"), 3, 2}));

  Status build(const LossOptions& options) {
    Value* loss = TRY(build_loss(b, options, x));
    graph.outputs = {{"loss", loss}};
    std::vector<Value*> gradients = TRY(differentiate(graph, loss, std::vector<Value*>{x}));
    graph.outputs.push_back({"gradient", gradients[0]});
    return verify(graph);
  }
  static Tensor scores() {
    Tensor x = Tensor::zeros(DType::kF64, {3, 3, 2});
    for (size_t i = 0; i < 18; ++i) x.mutable_data<double>()[i] = std::sin(1.7 * static_cast<double>(i)) * 3;
    return x;
  }
};

void expect_recorded(const LossOptions& options, Target target, double loss,
                     const std::vector<double>& gradient) {
  Scene scene;
  Status status = scene.build(options);
  ASSERT_TRUE(status.ok()) << status.error().message;
  auto result = evaluate(scene.graph, {Scene::scores(), target_of(target)});
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_NEAR(result->outputs[0].tensor().double_at(0), loss, 1e-13);
  for (size_t i = 0; i < 18; ++i)
    EXPECT_NEAR(result->outputs[1].tensor().double_at(static_cast<int64_t>(i)), gradient[i], 1e-13) << i;
}

#include "tests/training/losses.inc"

double loss_of(const LossOptions& options, std::vector<Datum> inputs) {
  Scene scene;
  Status status = scene.build(options);
  EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().message);
  inputs.insert(inputs.begin(), Scene::scores());
  auto result = evaluate(scene.graph, std::move(inputs));
  EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
  return result.ok() ? result->outputs[0].tensor().double_at(0) : NAN;
}

TEST(TrainingLoss, NoisyLabelsHaveTheCrossEntropyAsALimit) {
  const Tensor target = target_of(Target::kLabels);
  const double exact = loss_of({}, {target});
  EXPECT_NEAR(loss_of({.kind = Loss::kBootstrapSoft, .beta = 1}, {target}), exact, 1e-13);
  EXPECT_NEAR(loss_of({.kind = Loss::kBootstrapHard, .beta = 1}, {target}), exact, 1e-13);
  EXPECT_NEAR(loss_of({.kind = Loss::kGeneralizedCrossEntropy, .q = 1e-9}, {target}), exact, 1e-6);
}

// A weight of 0 takes a row out of the sum and not out of the divisor.
TEST(TrainingLoss, RowsHaveWeights) {
  for (LossOptions options : {LossOptions{},
                              {.kind = Loss::kMse},
                              {.kind = Loss::kKl},
                              {.kind = Loss::kBootstrapSoft},
                              {.kind = Loss::kBootstrapHard},
                              {.kind = Loss::kGeneralizedCrossEntropy}}) {
    options.sample_weights = true;
    Tensor target = target_of(options.kind == Loss::kMse  ? Target::kValues
                              : options.kind == Loss::kKl ? Target::kProbabilities
                                                          : Target::kLabels);
    double first = loss_of(options, {target, Tensor::from<double>({3}, {1, 0, 0})});
    double rest = loss_of(options, {target, Tensor::from<double>({3}, {0, 2, 2})});
    options.sample_weights = false;
    EXPECT_NEAR(first + rest / 2, loss_of(options, {target}), 1e-13) << name_of(options.kind);
  }
}

TEST(TrainingLoss, ClassesMayBeTheLastAxis) {
  Graph graph;
  GraphBuilder b(graph);
  Value* x = graph.add_input("x", Type::tensor(DType::kF64, Shape{Dim::symbol("batch"), 2, 3}));
  auto loss = build_loss(b, {.class_axis = -1}, x);
  ASSERT_TRUE(loss.ok()) << loss.error().message;
  graph.outputs = {{"loss", *loss}};
  EXPECT_EQ(to_string(graph.inputs()[1]->type), "i64[batch, 2]");
  Tensor scores = Scene::scores(), moved = Tensor::zeros(DType::kF64, {3, 2, 3});
  for (size_t i = 0; i < 18; ++i)
    moved.mutable_data<double>()[i / 6 * 6 + i % 2 * 3 + i / 2 % 3] = scores.data<double>()[i];
  auto result = evaluate(graph, {moved, target_of(Target::kLabels)});
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_NEAR(result->outputs[0].tensor().double_at(0), loss_of({}, {target_of(Target::kLabels)}), 1e-13);
}

TEST(TrainingLoss, WhatDoesNotFitIsRefused) {
  auto message = [](const LossOptions& options) {
    Status status = Scene().build(options);
    return status.ok() ? std::string() : status.error().message;
  };
  EXPECT_EQ(message({.kind = Loss::kMse, .label_smoothing = 0.1}),
            "label smoothing is no option of mean squared error");
  EXPECT_EQ(message({.class_weights = {1, 2}}), "2 class weights do not fit 3 classes");
  EXPECT_THAT(message({.label_smoothing = 2}), HasSubstr("from 0 to 1, got 2"));
  EXPECT_THAT(message({.class_axis = 3}), HasSubstr("classes on axis 3"));
  EXPECT_THAT(message({.soft_labels = true, .ignore_index = 0}), HasSubstr("no ignored class"));
  EXPECT_EQ(message({.q = 0.5}), "a power (q) is no option of cross entropy");
  EXPECT_EQ(message({.kind = Loss::kGeneralizedCrossEntropy, .beta = 0.5}),
            "a share of the labels (beta) is no option of generalized cross entropy");
  EXPECT_THAT(message({.kind = Loss::kGeneralizedCrossEntropy, .q = 0}), HasSubstr("above 0"));
}

}  // namespace
}  // namespace gannet
