#include "runtime/training/prediction_report.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace gannet {

namespace {

double ratio(double part, double whole) { return whole > 0 ? part / whole : 0; }

ClassScores scores(double hits, double labels, double predictions) {
  ClassScores result;
  result.precision = ratio(hits, predictions);
  result.recall = ratio(hits, labels);
  result.f1 = ratio(2 * hits, labels + predictions);
  result.rows = static_cast<int64_t>(labels);
  return result;
}

ClassScores mean(const std::vector<ClassScores>& all, double count) {
  ClassScores result;
  for (const ClassScores& one : all) {
    result.precision += one.precision;
    result.recall += one.recall;
    result.f1 += one.f1;
    result.rows += one.rows;
  }
  result.precision = ratio(result.precision, count);
  result.recall = ratio(result.recall, count);
  result.f1 = ratio(result.f1, count);
  return result;
}

// What has an order: NaN comes first.
std::vector<float> comparable(std::span<const float> values) {
  std::vector<float> result(values.begin(), values.end());
  for (float& value : result) value = std::isnan(value) ? -std::numeric_limits<float>::infinity() : value;
  return result;
}

// The places of the values in their order, from 1; equal ones have the mean of theirs.
std::vector<double> ranks(std::span<const float> given) {
  const std::vector<float> values = comparable(given);
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, {}, [&](size_t i) { return values[i]; });
  std::vector<double> result(values.size());
  for (size_t first = 0; first < order.size();) {
    size_t end = first;
    while (end < order.size() && values[order[end]] == values[order[first]]) ++end;
    for (size_t i = first; i < end; ++i) result[order[i]] = static_cast<double>(first + 1 + end) / 2;
    first = end;
  }
  return result;
}

double correlation(std::span<const double> x, std::span<const double> y) {
  const auto count = static_cast<double>(x.size());
  const double mean_x = std::accumulate(x.begin(), x.end(), 0.0) / count;
  const double mean_y = std::accumulate(y.begin(), y.end(), 0.0) / count;
  double xx = 0, yy = 0, xy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - mean_x) * (x[i] - mean_x);
    yy += (y[i] - mean_y) * (y[i] - mean_y);
    xy += (x[i] - mean_x) * (y[i] - mean_y);
  }
  return xx > 0 && yy > 0 ? xy / std::sqrt(xx * yy) : 0;
}

}  // namespace

ClassReport class_report(std::span<const int64_t> labels, std::span<const int64_t> predictions,
                         int64_t classes) {
  std::vector<int64_t> confusion(static_cast<size_t>(classes * classes));
  for (size_t i = 0; i < labels.size(); ++i) ++confusion[static_cast<size_t>(labels[i] * classes + predictions[i])];
  return class_report(std::move(confusion), classes);
}

ClassReport class_report(std::vector<int64_t> confusion, int64_t classes) {
  ClassReport report;
  const auto count = static_cast<size_t>(classes);
  std::vector<double> given(count), said(count);
  for (size_t i = 0; i < confusion.size(); ++i) {
    report.rows += confusion[i];
    given[i / count] += static_cast<double>(confusion[i]);
    said[i % count] += static_cast<double>(confusion[i]);
  }
  double occurring = 0, right = 0, both = 0, given_squared = 0, said_squared = 0;
  for (size_t k = 0; k < count; ++k) {
    const auto hits = static_cast<double>(confusion[k * count + k]);
    report.classes.push_back(scores(hits, given[k], said[k]));
    occurring += given[k] + said[k] > 0;
    right += hits;
    both += given[k] * said[k];
    given_squared += given[k] * given[k];
    said_squared += said[k] * said[k];
  }
  report.confusion = std::move(confusion);
  const auto rows = static_cast<double>(report.rows);
  report.accuracy = ratio(right, rows);
  report.macro = mean(report.classes, occurring);
  const double spread = std::sqrt(rows * rows - said_squared) * std::sqrt(rows * rows - given_squared);
  report.mcc = spread > 0 ? (right * rows - both) / spread : 0;
  return report;
}

double average_precision(std::span<const float> targets, std::span<const float> given) {
  const std::vector<float> predictions = comparable(given);
  std::vector<size_t> order(targets.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, std::greater(), [&](size_t i) { return predictions[i]; });
  const auto all =
      static_cast<double>(std::ranges::count_if(targets, [](float target) { return target > 0.5F; }));
  if (all == 0) return std::numeric_limits<double>::quiet_NaN();
  double area = 0, hits = 0;
  for (size_t first = 0; first < order.size();) {
    size_t end = first;
    double found = 0;
    while (end < order.size() && predictions[order[end]] == predictions[order[first]])
      found += targets[order[end++]] > 0.5F;
    hits += found;
    area += found / all * hits / static_cast<double>(end);
    first = end;
  }
  return area;
}

LabelReport label_report(std::span<const float> targets, std::span<const float> predictions, int64_t labels,
                         std::span<const double> thresholds) {
  LabelReport report;
  const auto width = static_cast<size_t>(labels);
  report.rows = static_cast<int64_t>(targets.size() / std::max<size_t>(width, 1));
  double all_hits = 0, all_given = 0, all_said = 0, occurring = 0, defined = 0, precisions = 0;
  std::vector<char> right(static_cast<size_t>(report.rows), 1);
  for (size_t label = 0; label < width; ++label) {
    const double threshold = thresholds[thresholds.size() == 1 ? 0 : label];
    std::vector<float> target, prediction;
    double hits = 0, given = 0, said = 0;
    for (size_t row = 0; row < right.size(); ++row) {
      target.push_back(targets[row * width + label]);
      prediction.push_back(predictions[row * width + label]);
      const bool is = target.back() > 0.5F, says = static_cast<double>(prediction.back()) > threshold;
      hits += is && says;
      given += is;
      said += says;
      right[row] &= is == says;
    }
    report.labels.push_back(scores(hits, given, said));
    report.average_precisions.push_back(average_precision(target, prediction));
    all_hits += hits;
    all_given += given;
    all_said += said;
    occurring += given > 0;
    defined += given + said > 0;
    if (given > 0) precisions += report.average_precisions.back();
  }
  report.exact = ratio(static_cast<double>(std::ranges::count(right, 1)), static_cast<double>(report.rows));
  report.micro = scores(all_hits, all_given, all_said);
  report.macro = mean(report.labels, defined);
  report.mean_average_precision = ratio(precisions, occurring);
  return report;
}

NumberReport number_report(std::span<const float> targets, std::span<const float> predictions) {
  NumberReport report;
  report.rows = static_cast<int64_t>(targets.size());
  const std::vector<double> x(targets.begin(), targets.end()), y(predictions.begin(), predictions.end());
  const auto count = static_cast<double>(x.size());
  const double mean = std::accumulate(x.begin(), x.end(), 0.0) / count;
  double spread = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    report.mse += (x[i] - y[i]) * (x[i] - y[i]);
    report.mae += std::fabs(x[i] - y[i]);
    spread += (x[i] - mean) * (x[i] - mean);
  }
  report.r2 = spread > 0 ? 1 - report.mse / spread : 0;
  report.mse /= count;
  report.mae /= count;
  report.pearson = correlation(x, y);
  report.spearman = correlation(ranks(targets), ranks(predictions));
  return report;
}

}  // namespace gannet
