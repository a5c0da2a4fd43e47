// How good a model is, in full: what an evaluation prints, against what a training run follows (metrics.h).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace gannet {

// A ratio whose divisor is 0 counts as 0, as in scikit-learn.
struct ClassScores {
  double precision = 0, recall = 0, f1 = 0;
  int64_t rows = 0;  // with this label
};

struct ClassReport {
  int64_t rows = 0;
  double accuracy = 0;
  double mcc = 0;  // Gorodkin's R_K, Matthews' coefficient for two classes; 0 where it is not defined
  std::vector<ClassScores> classes;
  ClassScores macro;               // means over the classes that occur as label or prediction
  std::vector<int64_t> confusion;  // [label, prediction]
};
// Class numbers are within [0, classes).
ClassReport class_report(std::span<const int64_t> labels, std::span<const int64_t> predictions,
                         int64_t classes);
// The same from how often each label got each prediction, [label, prediction].
ClassReport class_report(std::vector<int64_t> confusion, int64_t classes);

struct LabelReport {
  int64_t rows = 0;
  double exact = 0;  // share of rows of which all labels are right
  ClassScores micro, macro;
  double mean_average_precision = 0;  // over the labels that some row has
  std::vector<ClassScores> labels;
  std::vector<double> average_precisions;  // NaN where no row has the label
};
// Rows of `labels` 0 or 1 each; predictions above a threshold say 1: one for all labels, or one for each.
LabelReport label_report(std::span<const float> targets, std::span<const float> predictions, int64_t labels,
                         std::span<const double> thresholds);
// Area under precision over recall as a sum of steps, equal predictions taken together; NaN without a target
// above 0.5.
double average_precision(std::span<const float> targets, std::span<const float> predictions);

struct NumberReport {
  int64_t rows = 0;
  double mse = 0, mae = 0, r2 = 0;
  double pearson = 0, spearman = 0;  // 0 where one side does not vary
};
NumberReport number_report(std::span<const float> targets, std::span<const float> predictions);

}  // namespace gannet
