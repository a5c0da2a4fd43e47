#include "tools/driver/measure_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace gannet {

namespace {

std::span<const float> row_of(const Predictions& predictions, size_t row) {
  const auto width = static_cast<size_t>(predictions.width);
  return {predictions.values.data() + row * width, width};
}

// -log of what the model gives each class, of one row.
void negative_logs(std::span<const float> values, bool shares, std::vector<double>& logs) {
  logs.resize(values.size());
  if (shares) {
    constexpr double kLeast = -100;
    for (size_t k = 0; k < values.size(); ++k)
      logs[k] = -std::max(std::log(static_cast<double>(values[k])), kLeast);
    return;
  }
  const auto largest = static_cast<double>(*std::ranges::max_element(values));
  double total = 0;
  for (const float value : values) total += std::exp(static_cast<double>(value) - largest);
  for (size_t k = 0; k < values.size(); ++k)
    logs[k] = std::log(total) + largest - static_cast<double>(values[k]);
}

// The mean of -log of what the model gives the label.
double cross_entropy(const Predictions& predictions, std::span<const int64_t> labels) {
  const bool shares = are_distributions(predictions);
  double sum = 0;
  std::vector<double> logs;
  for (size_t row = 0; row < labels.size(); ++row) {
    negative_logs(row_of(predictions, row), shares, logs);
    sum += logs[static_cast<size_t>(labels[row])];
  }
  return sum / static_cast<double>(labels.size());
}

double soft_cross_entropy(const Predictions& predictions, std::span<const float> targets) {
  const bool shares = are_distributions(predictions);
  double sum = 0;
  std::vector<double> logs;
  for (size_t row = 0; row < static_cast<size_t>(predictions.rows); ++row) {
    negative_logs(row_of(predictions, row), shares, logs);
    for (size_t k = 0; k < logs.size(); ++k)
      sum += static_cast<double>(targets[row * logs.size() + k]) * logs[k];
  }
  return sum / static_cast<double>(predictions.rows);
}

double binary_cross_entropy(const Predictions& predictions, std::span<const float> targets) {
  const bool probabilities = are_probabilities(predictions);
  double sum = 0;
  for (size_t i = 0; i < targets.size(); ++i) {
    const auto x = static_cast<double>(predictions.values[i]), target = static_cast<double>(targets[i]);
    constexpr double kLeast = -100;  // PyTorch's bound of a logarithm
    if (probabilities)
      sum -= target * std::max(std::log(x), kLeast) + (1 - target) * std::max(std::log1p(-x), kLeast);
    else
      sum += std::max(x, 0.0) - x * target + std::log1p(std::exp(-std::fabs(x)));
  }
  return sum / static_cast<double>(targets.size());
}

// The loss of the predictions, of two views the mean of both, whose mean then takes the place of the first.
template <class LossOf>
double loss_of_views(Measured& measured, const LossOf& loss_of) {
  const double first = loss_of(measured.predictions);
  if (!measured.other) return first;
  const double second = loss_of(*measured.other);
  std::vector<float>& values = measured.predictions.values;
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(
        (static_cast<double>(values[i]) + static_cast<double>(measured.other->values[i])) / 2);
  measured.other.reset();
  return (first + second) / 2;
}

// How many classes have a larger score; equal ones with a lower number count as larger.
int64_t rank_of(std::span<const float> scores, size_t label) {
  int64_t rank = 0;
  for (size_t k = 0; k < scores.size(); ++k)
    rank += scores[k] > scores[label] || (scores[k] == scores[label] && k < label);
  return rank;
}

void report_on(const Predictions& predictions, std::span<const int64_t> labels, int64_t top,
               Evaluation& evaluation) {
  std::vector<int64_t> said;
  double within = 0;
  for (size_t row = 0; row < labels.size(); ++row) {
    const std::span<const float> values = row_of(predictions, row);
    said.push_back(std::ranges::max_element(values) - values.begin());
    within += rank_of(values, static_cast<size_t>(labels[row])) < top;
  }
  evaluation.loss_name = "cross entropy";
  evaluation.report = class_report(labels, said, predictions.width);
  if (predictions.width > top) evaluation.top = {top, within / static_cast<double>(labels.size())};
}

Status check_width(const Measured& measured, const TargetColumn& target) {
  const Predictions& predictions = measured.predictions;
  if (predictions.width == measured.target_width) return {};
  return invalid_input(fmt::format("{}: '{}' has {} values in a row, output '{}' has {}", target.file,
                                   target.name, measured.target_width, predictions.output,
                                   predictions.width));
}

}  // namespace

Result<Measured> measure_rows(const RunnableModel& model, const LabelledRows& rows,
                              const MeasureOptions& options) {
  BatchRequest request;
  request.batch_size = model.fixed_rows.value_or(options.batch_size);
  const std::unique_ptr<BatchSource> batches = TRY(rows.batches(std::nullopt, request));
  Measured measured;
  if (options.second_view) measured.other.emplace();
  for (int64_t i = 0; i < batches->per_epoch(); ++i) {
    BatchColumns columns = TRY(batches->read(i));
    const Tensor target = TRY(convert(columns.back(), DType::kF32));
    columns.pop_back();
    if (measured.other) TRY(predict(model, options.second_view(columns), options.output, *measured.other));
    TRY(predict(model, std::move(columns), options.output, measured.predictions));
    measured.target_width = target.elements() / target.extent(0);
    const auto values = target.data<float>();
    measured.targets.insert(measured.targets.end(), values.begin(), values.end());
  }
  return measured;
}

Status report_classes(Measured& measured, const TargetColumn& target, int64_t top, Evaluation& evaluation) {
  if (measured.predictions.width == 1) {
    widen_to_two_classes(measured.predictions);
    if (measured.other) widen_to_two_classes(*measured.other);
  }
  const Predictions& predictions = measured.predictions;
  std::vector<int64_t> labels;
  for (const float value : measured.targets) {
    labels.push_back(static_cast<int64_t>(value));
    if (labels.back() < 0 || labels.back() >= predictions.width) {
      return invalid_input(fmt::format("{}: label {} of '{}' is not one of the {} classes of output '{}'",
                                       target.file, labels.back(), target.name, predictions.width,
                                       predictions.output));
    }
  }
  evaluation.loss = loss_of_views(measured, [&](const Predictions& view) { return cross_entropy(view, labels); });
  report_on(measured.predictions, labels, top, evaluation);
  return {};
}

Status report_shares(Measured& measured, const TargetColumn& target, int64_t top, Evaluation& evaluation) {
  TRY(check_width(measured, target));
  std::vector<int64_t> labels;
  const auto width = static_cast<std::ptrdiff_t>(measured.target_width);
  for (auto row = measured.targets.begin(); row != measured.targets.end(); row += width)
    labels.push_back(std::max_element(row, row + width) - row);
  evaluation.loss = loss_of_views(
      measured, [&](const Predictions& view) { return soft_cross_entropy(view, measured.targets); });
  report_on(measured.predictions, labels, top, evaluation);
  return {};
}

Status report_labels(Measured& measured, const TargetColumn& target, std::span<const double> thresholds,
                     Evaluation& evaluation) {
  TRY(check_width(measured, target));
  const double middle = are_probabilities(measured.predictions) ? 0.5 : 0;
  if (thresholds.empty()) thresholds = std::span(&middle, 1);
  if (thresholds.size() > 1 && static_cast<int64_t>(thresholds.size()) != measured.target_width)
    return invalid_input(fmt::format("{} thresholds for the {} labels of output '{}'", thresholds.size(),
                                     measured.target_width, measured.predictions.output));
  evaluation.loss_name = "binary cross entropy";
  evaluation.loss = loss_of_views(
      measured, [&](const Predictions& view) { return binary_cross_entropy(view, measured.targets); });
  const Predictions& predictions = measured.predictions;
  evaluation.report = label_report(measured.targets, predictions.values, predictions.width, thresholds);
  return {};
}

Status report_numbers(Measured& measured, const TargetColumn& target, Evaluation& evaluation) {
  TRY(check_width(measured, target));
  const NumberReport report = number_report(measured.targets, measured.predictions.values);
  evaluation.loss_name = "mean squared error";
  evaluation.loss = report.mse;
  evaluation.report = report;
  return {};
}

}  // namespace gannet
