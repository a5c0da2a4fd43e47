// Expected values: scikit-learn 1.5 and SciPy 1.14 on the same numbers, or by hand where they are small.
#include "runtime/training/prediction_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace gannet {
namespace {

using testing::ElementsAre;

TEST(PredictionReport, ClassesByHand) {
  // Class 0: 2 of 3 found, 1 false alarm. Class 1: 1 of 2 found, 1 false alarm. Class 2: occurs nowhere.
  const std::vector<int64_t> labels = {0, 0, 0, 1, 1}, predictions = {0, 0, 1, 1, 0};
  const ClassReport report = class_report(labels, predictions, 3);
  EXPECT_THAT(report.confusion, ElementsAre(2, 1, 0, 1, 1, 0, 0, 0, 0));
  EXPECT_DOUBLE_EQ(report.accuracy, 0.6);
  EXPECT_DOUBLE_EQ(report.classes[0].precision, 2.0 / 3);
  EXPECT_DOUBLE_EQ(report.classes[0].recall, 2.0 / 3);
  EXPECT_DOUBLE_EQ(report.classes[1].f1, 0.5);
  EXPECT_EQ(report.classes[1].rows, 2);
  EXPECT_EQ(report.classes[2].f1, 0);
  EXPECT_DOUBLE_EQ(report.macro.f1, (2.0 / 3 + 0.5) / 2);
  // (TP TN - FP FN) / sqrt(...) = (2*1 - 1*1) / sqrt(3*3*2*2)
  EXPECT_NEAR(report.mcc, 1.0 / 6, 1e-12);
}

TEST(PredictionReport, ACoefficientThatIsNotDefinedIsZero) {
  const std::vector<int64_t> labels = {1, 1}, predictions = {1, 1};
  EXPECT_EQ(class_report(labels, predictions, 2).mcc, 0);
  EXPECT_EQ(class_report(labels, predictions, 2).accuracy, 1);
}

TEST(PredictionReport, AveragePrecisionTakesEqualOnesTogether) {
  // scikit-learn's own example: 0.8333...
  EXPECT_NEAR(average_precision(std::vector<float>{0, 0, 1, 1}, std::vector<float>{0.1F, 0.4F, 0.35F, 0.8F}),
              5.0 / 6, 1e-12);
  EXPECT_NEAR(average_precision(std::vector<float>{1, 0, 0, 1}, std::vector<float>{1, 1, 1, 1}), 0.5, 1e-12);
  EXPECT_TRUE(std::isnan(average_precision(std::vector<float>{0, 0}, std::vector<float>{1, 2})));
}

TEST(PredictionReport, WhatIsNoNumberIsLeast) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> targets = {1, 0, 1, 0}, predictions = {0.9F, nan, 0.8F, nan};
  EXPECT_EQ(average_precision(targets, predictions), 1);
  EXPECT_TRUE(std::isfinite(number_report(targets, predictions).spearman));
}

TEST(PredictionReport, SeveralLabels) {
  const std::vector<float> targets = {1, 0, /**/ 1, 1, /**/ 0, 0},
                           predictions = {2, -1, /**/ 1, -1, /**/ -3, 4};
  const LabelReport report = label_report(targets, predictions, 2, std::vector<double>{0});
  EXPECT_EQ(report.rows, 3);
  EXPECT_DOUBLE_EQ(report.exact, 1.0 / 3);
  EXPECT_DOUBLE_EQ(report.labels[0].f1, 1);
  EXPECT_DOUBLE_EQ(report.labels[1].f1, 0);
  EXPECT_DOUBLE_EQ(report.macro.f1, 0.5);
  EXPECT_DOUBLE_EQ(report.micro.f1, 2.0 * 2 / (3 + 3));
  EXPECT_DOUBLE_EQ(report.average_precisions[0], 1);
  EXPECT_DOUBLE_EQ(report.average_precisions[1], 1.0 / 3);
  EXPECT_DOUBLE_EQ(report.mean_average_precision, 2.0 / 3);
  const LabelReport own = label_report(targets, predictions, 2, std::vector<double>{1.5, -2});
  EXPECT_DOUBLE_EQ(own.labels[0].recall, 0.5);
  EXPECT_DOUBLE_EQ(own.labels[1].recall, 1);
  EXPECT_DOUBLE_EQ(own.labels[1].precision, 1.0 / 3);
  EXPECT_DOUBLE_EQ(own.exact, 0);
  EXPECT_DOUBLE_EQ(own.mean_average_precision, 2.0 / 3);
}

TEST(PredictionReport, ConfusionsSayAsMuchAsLabels) {
  const std::vector<int64_t> labels = {0, 0, 1, 2, 2, 2}, predictions = {0, 1, 1, 2, 0, 2};
  const ClassReport one = class_report(labels, predictions, 4);
  const ClassReport other = class_report({1, 1, 0, 0, 0, 1, 0, 0, 1, 0, 2, 0, 0, 0, 0, 0}, 4);
  EXPECT_EQ(one.confusion, other.confusion);
  EXPECT_EQ(one.rows, other.rows);
  EXPECT_EQ(one.macro.f1, other.macro.f1);
  EXPECT_EQ(one.mcc, other.mcc);
  EXPECT_DOUBLE_EQ(one.accuracy, 4.0 / 6);
}

TEST(PredictionReport, NumbersAndTheirRanks) {
  const std::vector<float> targets = {1, 2, 3, 4, 5}, predictions = {2, 1, 4, 3, 5};
  const NumberReport report = number_report(targets, predictions);
  EXPECT_DOUBLE_EQ(report.mse, 0.8);
  EXPECT_DOUBLE_EQ(report.mae, 0.8);
  EXPECT_DOUBLE_EQ(report.r2, 0.6);
  EXPECT_NEAR(report.pearson, 0.8, 1e-12);
  EXPECT_NEAR(report.spearman, 0.8, 1e-12);
  const std::vector<float> squares = {1, 4, 9, 9, 100}, ties = {0, 1, 2, 2, 3};
  EXPECT_NEAR(number_report(squares, ties).spearman, 1, 1e-12);
  EXPECT_EQ(number_report(targets, std::vector<float>(5, 1)).pearson, 0);
}

}  // namespace
}  // namespace gannet
