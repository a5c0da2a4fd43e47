#include "tools/deploy/training_target.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tools/deploy/fit_array.h"

namespace gannet {

namespace {

Status check_labels(const TargetColumn& column, const TargetForm& form) {
  const Tensor& target = column.values;
  const int64_t classes = *form.classes;
  for (int64_t i = 0; i < target.elements(); ++i) {
    const int64_t label = target.int_at(i);
    if ((label >= 0 && label < classes) || label == form.ignore_index) continue;
    return invalid_input(
        fmt::format("{}: label {} in row {} of '{}' is not one of the {} classes of output '{}'{}",
                    column.file, label, i / (target.elements() / target.extent(0)), column.name, classes,
                    form.output, classes == 1 ? "; for one output give floating point targets" : ""));
  }
  return {};
}

}  // namespace

Status check_shares(const TargetColumn& column, int64_t class_axis) {
  // Decimals are rounded, and so are numbers of 16 bits.
  constexpr double kTolerance = 0.01;
  const Tensor& target = column.values;
  const int64_t axis = class_axis < 0 ? class_axis + target.rank() : class_axis;
  if (axis <= 0 || axis >= target.rank() || target.elements() == 0) return {};
  const int64_t classes = target.extent(axis), each = target.elements() / target.extent(0);
  const int64_t inner = row_major_strides(target.extents())[static_cast<size_t>(axis)];
  for (int64_t i = 0; i < target.elements() / classes; ++i) {
    const int64_t first = i / inner * classes * inner + i % inner;
    double sum = 0;
    for (int64_t k = 0; k < classes; ++k) {
      const double share = target.double_at(first + k * inner);
      if (!std::isfinite(share) || share < 0)
        return invalid_input(fmt::format("{}: {} for class {} in row {} of '{}' is no probability", column.file, share, k,
                                         first / each, column.name));
      sum += share;
    }
    if (std::fabs(sum - 1) > kTolerance)
      return invalid_input(fmt::format("{}: the probabilities in row {} of '{}' add up to {:.6g}, not 1", column.file,
                                       first / each, column.name, sum));
  }
  return {};
}

Status fit_target(const TargetForm& form, TargetColumn& column) {
  const Type& type = form.type;
  Tensor& target = column.values;
  const bool numbers = form.kind == TargetKind::kClasses;
  const bool narrow = target.dtype() != DType::kI64 && (is_int(target.dtype()) || target.dtype() == DType::kBool);
  if (numbers && narrow) target = TRY(convert(target, DType::kI64));
  const bool one_too_many = type.shape && target.rank() == type.rank() + 1 && target.extents().back() == 1;
  std::vector<int64_t> extents = target.extents();
  if (one_too_many) extents.pop_back();
  // A head may end in [rows, 1], or in [rows, classes, 1, 1].
  const bool lacks_ones = type.shape && target.rank() < type.rank() && target.rank() > 0 &&
                          std::all_of(type.shape->begin() + target.rank(), type.shape->end(),
                                      [](const Dim& extent) { return extent.is_constant(1); });
  if (lacks_ones) extents.resize(type.shape->size(), 1);
  if (one_too_many || lacks_ones) target = target.reshaped(extents);
  target = TRY(fit_array(column.file, column.name, std::move(target), type,
                         fmt::format("the loss of '{}'", form.output), true));
  if (form.kind == TargetKind::kShares) return check_shares(column, form.class_axis);
  return numbers && form.classes ? check_labels(column, form) : Status();
}

std::unique_ptr<Metrics> metrics_of(const TargetForm& form) {
  switch (form.kind) {
    case TargetKind::kClasses: return make_class_metrics(form.class_axis, form.ignore_index, form.top);
    case TargetKind::kShares: return make_soft_class_metrics(form.class_axis, form.top);
    case TargetKind::kLabels: return make_label_metrics(form.threshold);
    case TargetKind::kNumbers: break;
  }
  return make_number_metrics();
}

std::string best_measure(const TargetForm& form) { return form.kind == TargetKind::kClasses ? "accuracy" : "loss"; }

Status check_measure(const Metrics& metrics, const std::string& name, const TargetForm& form) {
  std::string all = "loss";
  bool found = name == all;
  // Measured where there are more classes, which only data may tell.
  const bool numbers = form.kind == TargetKind::kClasses || form.kind == TargetKind::kShares;
  if (numbers && form.classes.value_or(form.top + 1) > form.top) {
    const std::string top = fmt::format("top{}_accuracy", form.top);
    all += ", " + top;
    found |= name == top;
  }
  for (const Measure& measure : metrics.measures()) {
    all += ", " + measure.name;
    found |= name == measure.name;
  }
  return found ? Status() : invalid_input(fmt::format("there is no measure '{}'; there are {}", name, all));
}

}  // namespace gannet
