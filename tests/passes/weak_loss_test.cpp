#include "passes/weak_loss.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "ir/evaluate.h"
#include "ir/verify.h"
#include "passes/differentiate.h"

namespace gannet {
namespace {

using testing::HasSubstr;

constexpr int64_t kClasses = 3, kLabelled = 2, kRatio = 2;

Tensor scores(int64_t rows, double phase) {
  Tensor x = Tensor::zeros(DType::kF64, {rows, kClasses});
  auto values = x.mutable_data<double>();
  for (size_t i = 0; i < values.size(); ++i) values[i] = 3 * std::sin(1.7 * static_cast<double>(i) + phase);
  return x;
}

std::vector<double> softmax_row(const Tensor& x, int64_t row) {
  std::vector<double> p;
  double total = 0;
  for (int64_t c = 0; c < kClasses; ++c) p.push_back(std::exp(x.double_at(row * kClasses + c)));
  for (const double value : p) total += value;
  for (double& value : p) value /= total;
  return p;
}

struct Expected {
  double loss = 0, above = 0, known = 0, right = 0;
};

const std::vector<int64_t> kTargets = {1, 2}, kHidden = {0, 2, -1, 1};
const std::vector<double> kWeights = {0.5, 2};

// What the header says, row by row.
Expected by_hand(const WeakLossOptions& options, const Tensor& x, const Tensor& teacher) {
  const int64_t each = rows_for_each_label(options);
  const bool consistent = options.method == WeakMethod::kMeanTeacher;
  Expected expected;
  double others = 0;
  for (int64_t g = 0; g < kLabelled; ++g) {
    const auto group = static_cast<size_t>(g);
    expected.loss -= std::log(softmax_row(x, g * each)[static_cast<size_t>(kTargets[group])]) / kLabelled;
    for (int64_t i = consistent ? 0 : 1; i <= kRatio; ++i) {
      const std::vector<double> wanted = softmax_row(consistent ? teacher : x, g * each + i);
      const auto label = std::ranges::max_element(wanted) - wanted.begin();
      const bool counts = wanted[static_cast<size_t>(label)] >= options.threshold;
      const int64_t learner = options.method == WeakMethod::kFixMatch ? i + kRatio : i;
      const std::vector<double> p = softmax_row(x, g * each + learner);
      double term = consistent ? 0 : -std::log(p[static_cast<size_t>(label)]);
      for (size_t c = 0; consistent && c < p.size(); ++c) term += std::pow(p[c] - wanted[c], 2) / kClasses;
      if (counts) others += kWeights[group] * term;
      if (i == 0 || !counts) continue;
      const int64_t hidden = kHidden[static_cast<size_t>(g * kRatio + i - 1)];
      expected.above += 1;
      expected.known += hidden >= 0;
      expected.right += hidden == label;
    }
  }
  expected.loss += others / static_cast<double>(kLabelled * (kRatio + consistent));
  return expected;
}

// The loss of scores given as input, and its gradient.
struct Scene {
  Graph graph;
  GraphBuilder b{graph};
  Value *x, *teacher = nullptr;

  explicit Scene(Type type = Type::tensor(DType::kF64, Shape{Dim::symbol("batch"), kClasses}))
      : x(graph.add_input("x", std::move(type))) {}

  Status build(const WeakLossOptions& options, const LossOptions& loss = {}) {
    if (options.method == WeakMethod::kMeanTeacher) teacher = graph.add_input("teacher", x->type);
    WeakLoss weak = TRY(build_weak_loss(b, loss, options, x, teacher));
    graph.outputs = {{"loss", weak.loss}};
    graph.outputs.insert(graph.outputs.end(), weak.measures.begin(), weak.measures.end());
    const std::vector<Value*> gradients = TRY(differentiate(graph, weak.loss, std::vector<Value*>{x}));
    graph.outputs.push_back({"gradient", gradients[0]});
    return verify(graph);
  }

  EvaluateResult run(const Tensor& values, const Tensor& averaged) const {
    std::vector<Datum> inputs = {values};
    if (teacher) inputs.emplace_back(averaged);
    inputs.emplace_back(Tensor::from<int64_t>({kLabelled, kRatio}, std::span<const int64_t>(kHidden)));
    inputs.emplace_back(Tensor::from<double>({kLabelled}, std::span<const double>(kWeights)));
    inputs.emplace_back(Tensor::from<int64_t>({kLabelled}, std::span<const int64_t>(kTargets)));
    Result<EvaluateResult> result = evaluate(graph, std::move(inputs));
    EXPECT_TRUE(result.ok()) << result.error().message;
    return *std::move(result);
  }
};

double number(const EvaluateResult& result, size_t output, int64_t element = 0) {
  return result.outputs[output].tensor().double_at(element);
}

void expect_as_by_hand(const WeakLossOptions& options) {
  Scene scene;
  const Status built = scene.build(options);
  ASSERT_TRUE(built.ok()) << built.error().message;
  const Tensor x = scores(kLabelled * rows_for_each_label(options), 0), averaged = scores(x.extent(0), 1);
  const EvaluateResult result = scene.run(x, averaged);
  const Expected expected = by_hand(options, x, averaged);
  EXPECT_NEAR(number(result, 0), expected.loss, 1e-12);
  EXPECT_EQ(number(result, 2, 0), expected.above);
  EXPECT_EQ(number(result, 2, 1), kLabelled * kRatio);
  EXPECT_EQ(number(result, 3, 0), expected.right);
  EXPECT_EQ(number(result, 3, 1), expected.known);
  EXPECT_GT(expected.above, 0);
  EXPECT_LT(expected.above, kLabelled * kRatio + (options.threshold == 0));
  constexpr double kStep = 1e-6;
  for (int64_t i = 0; i < x.elements(); ++i) {
    double sides[2];
    for (int side = 0; side < 2; ++side) {
      Tensor moved = x;
      moved.mutable_data<double>()[static_cast<size_t>(i)] += side ? kStep : -kStep;
      sides[side] = number(scene.run(moved, averaged), 0);
    }
    EXPECT_NEAR(number(result, 4, i), (sides[1] - sides[0]) / (2 * kStep), 1e-8) << i;
  }
}

TEST(WeakLoss, FixMatch) { expect_as_by_hand({WeakMethod::kFixMatch, kRatio, 0.8}); }
TEST(WeakLoss, PseudoLabel) { expect_as_by_hand({WeakMethod::kPseudoLabel, kRatio, 0.8}); }
TEST(WeakLoss, PseudoLabelWithoutAThreshold) { expect_as_by_hand({WeakMethod::kPseudoLabel, kRatio, 0}); }
TEST(WeakLoss, MeanTeacher) { expect_as_by_hand({WeakMethod::kMeanTeacher, kRatio, 0}); }
TEST(WeakLoss, MeanTeacherThatMustBeSure) { expect_as_by_hand({WeakMethod::kMeanTeacher, kRatio, 0.9}); }

TEST(WeakLoss, WeakRowsGetNoGradientFromTheirOwnLabels) {
  Scene scene;
  ASSERT_TRUE(scene.build({WeakMethod::kFixMatch, kRatio, 0}).ok());
  const EvaluateResult result = scene.run(scores(kLabelled * 5, 0), {});
  for (const int64_t row : {1, 2, 6, 7}) {
    for (int64_t c = 0; c < kClasses; ++c) EXPECT_EQ(number(result, 4, row * kClasses + c), 0) << row;
  }
}

// A pooling leaves [batch, classes, 1, 1].
TEST(WeakLoss, TrailingOnesAreNoPositions) {
  Scene scene(Type::tensor(DType::kF64, Shape{Dim::symbol("batch"), kClasses, 1, 1})), flat;
  ASSERT_TRUE(scene.build({WeakMethod::kFixMatch, kRatio, 0.8}).ok());
  ASSERT_TRUE(flat.build({WeakMethod::kFixMatch, kRatio, 0.8}).ok());
  const Tensor x = scores(kLabelled * 5, 0);
  EXPECT_EQ(number(scene.run(x.reshaped({10, kClasses, 1, 1}), {}), 0), number(flat.run(x, {}), 0));
}

TEST(WeakLoss, WhatDoesNotFitIsRefused) {
  auto message = [](const WeakLossOptions& options, const LossOptions& loss, const Shape& shape) {
    const Status status = Scene(Type::tensor(DType::kF64, shape)).build(options, loss);
    return status.ok() ? std::string() : status.error().message;
  };
  const Shape usual = {Dim::symbol("batch"), kClasses};
  EXPECT_EQ(message({}, {.kind = Loss::kMse}, usual),
            "rows without labels need the loss cross entropy, not mean squared error");
  EXPECT_THAT(message({.ratio = 0}, {}, usual), HasSubstr("there must be one"));
  EXPECT_THAT(message({.threshold = 1.5}, {}, usual), HasSubstr("from 0 to 1, got 1.5"));
  EXPECT_THAT(message({}, {}, {Dim::symbol("batch"), kClasses, 7}),
              HasSubstr("need an output [batch, classes], 'x' is f64[batch, 3, 7]"));
  EXPECT_THAT(message({}, {}, {4, kClasses}), HasSubstr("need batches of any size, 'x' is f64[4, 3]"));
}

}  // namespace
}  // namespace gannet
