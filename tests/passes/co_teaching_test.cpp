#include "passes/co_teaching.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ir/evaluate.h"
#include "ir/parse.h"
#include "ir/verify.h"
#include "passes/build_train_step.h"

namespace gannet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr int64_t kRows = 5, kInputs = 2, kClasses = 3;

std::unique_ptr<Graph> linear_model() {
  auto graph = parse_graph(R"(graph "classifier"(%x: f64[n, 2]) {
  state %w: f64[2, 3] = f64[2, 3] {1, 0, -1, 0.5, 2, 0} "w"
  %y = MatMul(%x, %w)
  %p = Softmax(%y) {axis = 1}
  return %p
})");
  EXPECT_TRUE(graph.ok()) << (graph.ok() ? "" : graph.error().message);
  return *std::move(graph);
}

const Tensor kFirst = Tensor::from<double>({2, 3}, {1, 0, -1, 0.5, 2, 0}),
             kSecond = Tensor::from<double>({2, 3}, {-0.5, 1, 0.25, 0, -1, 1.5}),
             kPictures = Tensor::from<double>({5, 2}, {1, 2, -1, 0.5, 0.25, -2, 3, 1, -0.5, -1});
const std::vector<int64_t> kLabels = {1, 0, 2, 2, 1};

// The loss of each row, and for each the gradient by w.
struct Rows {
  std::vector<double> losses;
  std::vector<std::vector<double>> gradients;

  explicit Rows(const Tensor& w) {
    for (int64_t row = 0; row < kRows; ++row) {
      std::vector<double> scores(kClasses), gradient;
      double total = 0;
      const auto label = static_cast<size_t>(kLabels[static_cast<size_t>(row)]);
      for (int64_t k = 0; k < kClasses; ++k) {
        double& score = scores[static_cast<size_t>(k)];
        for (int64_t i = 0; i < kInputs; ++i)
          score += kPictures.double_at(row * kInputs + i) * w.double_at(i * kClasses + k);
        total += std::exp(score);
      }
      losses.push_back(std::log(total) - scores[label]);
      for (int64_t i = 0; i < kInputs; ++i) {
        for (size_t k = 0; k < 3; ++k)
          gradient.push_back(kPictures.double_at(row * kInputs + i) * (std::exp(scores[k]) / total - (k == label)));
      }
      gradients.push_back(std::move(gradient));
    }
  }
  std::vector<size_t> smallest(size_t count) const {
    std::vector<size_t> order(losses.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::ranges::stable_sort(order, {}, [&](size_t row) { return losses[row]; });
    order.resize(count);
    return order;
  }
  double loss_of(const std::vector<size_t>& rows) const {
    double sum = 0;
    for (const size_t row : rows) sum += losses[row];
    return sum / static_cast<double>(rows.size());
  }
  double gradient_of(const std::vector<size_t>& rows, size_t element) const {
    double sum = 0;
    for (const size_t row : rows) sum += gradients[row][element];
    return sum / static_cast<double>(rows.size());
  }
};

TrainStepOptions two_models(double rate, int64_t ramp) {
  TrainStepOptions options;
  options.optimizer.kind = Optimizer::kSgd;
  options.co_teaching = CoTeachingOptions{rate, ramp, {kSecond}};
  return options;
}

// One step of plain gradient descent with `kept` rows: each model moves by the rows that the other finds easiest.
void expect_step(const TrainStep& step, const std::vector<Tensor>& states, size_t kept) {
  const Tensor labels = Tensor::from<int64_t>({kRows}, std::span<const int64_t>(kLabels));
  auto result = evaluate(*step.graph, {kPictures, labels, Tensor::scalar(0.1)}, {}, states);
  ASSERT_TRUE(result.ok()) << result.error().message;
  const Rows first(states[0]), second(states[1]);
  const std::vector<size_t> of_first = second.smallest(kept), of_second = first.smallest(kept);
  EXPECT_NE(of_first, of_second) << "the case tells nothing";
  EXPECT_NEAR(result->outputs[0].tensor().double_at(0), (first.loss_of(of_first) + second.loss_of(of_second)) / 2, 1e-12);
  for (size_t i = 0; i < 6; ++i) {
    const auto at = static_cast<int64_t>(i);
    EXPECT_NEAR(result->state_outputs[0].double_at(at), states[0].double_at(at) - 0.1 * first.gradient_of(of_first, i), 1e-12);
    EXPECT_NEAR(result->state_outputs[1].double_at(at), states[1].double_at(at) - 0.1 * second.gradient_of(of_second, i), 1e-12);
  }
  EXPECT_EQ(result->state_outputs[2].int_at(0), states[2].int_at(0) + 1);
}

TEST(CoTeaching, EachModelLearnsFromWhatTheOtherFindsEasy) {
  auto step = build_train_step(*linear_model(), two_models(0.4, 0));
  ASSERT_TRUE(step.ok()) << step.error().message;
  EXPECT_TRUE(verify(*step->graph).ok());
  EXPECT_EQ(step->skipped_ending, "Softmax");
  EXPECT_THAT(step->weights, ElementsAre("w", "second/w"));
  ASSERT_EQ(step->graph->states.size(), 3u);
  EXPECT_EQ(step->graph->states[2].name, "co_teaching.batches");
  expect_step(*step, {kFirst, kSecond, Tensor::scalar<int64_t>(0)}, 3);
}

// The share to forget grows from nothing to 0.6; what is left of 5 rows is cut to whole rows.
TEST(CoTeaching, TheShareToForgetGrows) {
  auto step = build_train_step(*linear_model(), two_models(0.6, 8));
  ASSERT_TRUE(step.ok()) << step.error().message;
  expect_step(*step, {kFirst, kSecond, Tensor::scalar<int64_t>(2)}, 4);
  expect_step(*step, {kFirst, kSecond, Tensor::scalar<int64_t>(4)}, 3);
  expect_step(*step, {kFirst, kSecond, Tensor::scalar<int64_t>(8)}, 2);
  expect_step(*step, {kFirst, kSecond, Tensor::scalar<int64_t>(80)}, 2);
}

TEST(CoTeaching, RulesOfTheFirstModelHoldForBoth) {
  TrainStepOptions options = two_models(0.2, 0);
  options.optimizer.rates = {{"w", 0}};
  EXPECT_THAT(build_train_step(*linear_model(), options)->weights, ElementsAre());
  options = two_models(0.2, 0);
  options.accumulate = true;
  auto step = build_train_step(*linear_model(), options);
  ASSERT_TRUE(step.ok()) << step.error().message;
  EXPECT_THAT(step->weights, ElementsAre("w", "second/w"));
  EXPECT_EQ(step->graph->states.back().name, "co_teaching.batches");
  EXPECT_TRUE(verify(*step->graph).ok());
}

TEST(CoTeaching, SaysWhatDoesNotFit) {
  auto message = [](const TrainStepOptions& options) { return build_train_step(*linear_model(), options).error().message; };
  TrainStepOptions options = two_models(0.2, 0);
  options.loss.class_weights = {1, 2, 3};
  EXPECT_EQ(message(options), "co-teaching has no weights for classes");
  options = two_models(0.2, 0);
  options.loss.ignore_index = 1;
  EXPECT_EQ(message(options), "co-teaching has no ignored class");
  EXPECT_THAT(message(two_models(1, 0)), HasSubstr("below 1, got 1"));
  options.loss = {};
  options.co_teaching->initial = {Tensor::zeros(DType::kF64, {3, 3})};
  EXPECT_THAT(message(options), HasSubstr("'w' is f64[2, 3] in the first model and f64[3, 3] in the second"));
}

}  // namespace
}  // namespace gannet
