#include "runtime/training/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

namespace gannet {
namespace {

std::map<std::string, double> values(const Metrics& metrics) {
  std::map<std::string, double> result;
  for (const Measure& measure : metrics.measures()) result[measure.name] = measure.value;
  return result;
}

// Scores that choose these classes.
Tensor scores_for(const std::vector<int64_t>& classes, int64_t count) {
  Tensor scores = Tensor::zeros(DType::kF32, {static_cast<int64_t>(classes.size()), count});
  for (size_t i = 0; i < classes.size(); ++i)
    scores.mutable_data<float>()[i * static_cast<size_t>(count) + static_cast<size_t>(classes[i])] = 1;
  return scores;
}

// sklearn.metrics: accuracy_score, f1_score(average="macro"), matthews_corrcoef.
TEST(Metrics, ClassesAreCountedAsScikitLearnDoes) {
  const auto metrics = make_class_metrics(1, std::nullopt);
  metrics->add(scores_for({0, 2, 1, 0}, 3), Tensor::from<int64_t>({4}, {0, 1, 2, 0}));
  metrics->add(scores_for({1, 2}, 3), Tensor::from<int64_t>({2}, {1, 2}));
  const auto result = values(*metrics);
  EXPECT_NEAR(result.at("accuracy"), 4.0 / 6, 1e-12);
  EXPECT_NEAR(result.at("macro_f1"), (1 + 0.5 + 0.5) / 3, 1e-12);
  EXPECT_NEAR(result.at("mcc"), 0.5, 1e-12);
  EXPECT_FALSE(result.contains("top5_accuracy"));
  metrics->clear();
  EXPECT_TRUE(std::isnan(values(*metrics).at("accuracy")));
}

TEST(Metrics, ALoneClassHasNoCorrelation) {
  const auto metrics = make_class_metrics(1, std::nullopt);
  metrics->add(scores_for({0, 0}, 2), Tensor::from<int64_t>({2}, {0, 0}));
  EXPECT_EQ(values(*metrics).at("mcc"), 0);
  EXPECT_EQ(values(*metrics).at("macro_f1"), 1);
}

TEST(Metrics, PositionsIgnoredLabelsAndOtherAxes) {
  const auto metrics = make_class_metrics(-1, -100);
  Tensor scores = scores_for({1, 0, 1, 1}, 2).reshaped({2, 2, 2});
  metrics->add(scores, Tensor::from<int64_t>({2, 2}, {1, -100, 0, 1}));
  EXPECT_NEAR(values(*metrics).at("accuracy"), 2.0 / 3, 1e-12);
  const auto channels = make_class_metrics(1, std::nullopt);  // [1, 2 classes, 2 places]
  channels->add(Tensor::from<float>({1, 2, 2}, {1, 0, 0, 1}), Tensor::from<int64_t>({1, 2}, {0, 1}));
  EXPECT_EQ(values(*channels).at("accuracy"), 1);
}

TEST(Metrics, TopFiveFromSixClassesOn) {
  const auto metrics = make_class_metrics(1, std::nullopt);
  metrics->add(Tensor::from<float>({2, 6}, {6, 5, 4, 3, 2, 1, 6, 5, 4, 3, 2, 1}),
               Tensor::from<int64_t>({2}, {4, 5}));
  EXPECT_EQ(values(*metrics).at("top5_accuracy"), 0.5);
  EXPECT_EQ(values(*metrics).at("accuracy"), 0);
}

TEST(Metrics, AmongTheTopTwo) {
  const auto metrics = make_class_metrics(1, std::nullopt, 2);
  metrics->add(Tensor::from<float>({2, 3}, {6, 5, 4, 6, 5, 4}), Tensor::from<int64_t>({2}, {1, 2}));
  EXPECT_EQ(values(*metrics).at("top2_accuracy"), 0.5);
}

TEST(Metrics, ManyClassesNeedNoTable) {
  const auto metrics = make_class_metrics(1, std::nullopt);
  metrics->add(scores_for({29'999, 3}, 30'000), Tensor::from<int64_t>({2}, {29'999, 4}));
  const auto result = values(*metrics);
  EXPECT_EQ(result.at("accuracy"), 0.5);
  EXPECT_FALSE(result.contains("mcc"));
}

TEST(Metrics, SoftLabels) {
  const auto metrics = make_soft_class_metrics(1);
  metrics->add(scores_for({1, 0}, 2), Tensor::from<float>({2, 2}, {0.25f, 0.75f, 0.4f, 0.6f}));
  EXPECT_EQ(values(*metrics).at("accuracy"), 0.5);
}

TEST(Metrics, SeveralLabelsAtOnce) {
  const auto metrics = make_label_metrics(0.5);
  metrics->add(Tensor::from<float>({3, 2}, {0.9f, 0.2f, 0.8f, 0.6f, 0.1f, 0.4f}),
               Tensor::from<float>({3, 2}, {1, 0, 0, 1, 1, 0}));
  const auto result = values(*metrics);
  EXPECT_NEAR(result.at("accuracy"), 4.0 / 6, 1e-12);
  EXPECT_NEAR(result.at("micro_f1"), 2.0 * 2 / (2 * 2 + 2), 1e-12);
  EXPECT_NEAR(result.at("macro_f1"), (0.5 + 1) / 2, 1e-12);
  // sklearn.metrics.average_precision_score, macro.
  EXPECT_NEAR(result.at("map"), ((1 + 2.0 / 3) / 2 + 1) / 2, 1e-12);
}

TEST(Metrics, Numbers) {
  const auto metrics = make_number_metrics();
  metrics->add(Tensor::from<float>({2, 1}, {2.5f, 0}), Tensor::from<float>({2, 1}, {3, -0.5f}));
  metrics->add(Tensor::from<float>({2, 1}, {2, 8}), Tensor::from<float>({2, 1}, {2, 7}));
  const auto result = values(*metrics);  // the example of sklearn.metrics.r2_score
  EXPECT_NEAR(result.at("mae"), 0.5, 1e-12);
  EXPECT_NEAR(result.at("rmse"), std::sqrt(0.375), 1e-12);
  EXPECT_NEAR(result.at("r2"), 0.9486081370449679, 1e-12);
}

}  // namespace
}  // namespace gannet
