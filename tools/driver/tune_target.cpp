#include "tools/driver/tune_target.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <cmath>

#include "tools/driver/fit_array.h"

namespace gannet {

namespace {

struct NamedLoss {
  std::string_view name;
  Loss kind;
};

constexpr std::array<NamedLoss, 9> kLosses = {{{"cross-entropy", Loss::kCrossEntropy},
                                               {"mse", Loss::kMse},
                                               {"binary-cross-entropy", Loss::kBinaryCrossEntropy},
                                               {"l1", Loss::kL1},
                                               {"huber", Loss::kHuber},
                                               {"kl", Loss::kKl},
                                               {"bootstrap-soft", Loss::kBootstrapSoft},
                                               {"bootstrap-hard", Loss::kBootstrapHard},
                                               {"generalized-cross-entropy", Loss::kGeneralizedCrossEntropy}}};

bool takes_class_numbers(const LossOptions& loss) {
  return takes_classes(loss.kind) && !loss.soft_labels;
}

Status check_labels(const TargetColumn& column, const LossOptions& loss, const std::string& output,
                    int64_t classes) {
  const Tensor& target = column.values;
  for (int64_t i = 0; i < target.elements(); ++i) {
    const int64_t label = target.int_at(i);
    if ((label >= 0 && label < classes) || label == loss.ignore_index) continue;
    return invalid_input(
        fmt::format("{}: label {} in row {} of '{}' is not one of the {} classes of output '{}'{}",
                    column.file, label, i / (target.elements() / target.extent(0)), column.name, classes,
                    output, classes == 1 ? "; for one output give floating point targets" : ""));
  }
  return {};
}

}  // namespace

Result<LossOptions> loss_of(const std::string& name, const LossOptions& options, const TargetColumn& column) {
  LossOptions loss = options;
  const Tensor& target = column.values;
  const bool floats = is_float(target.dtype());
  if (!floats && !is_int(target.dtype()) && target.dtype() != DType::kBool) {
    return invalid_input(
        fmt::format("{}: array '{}' is {}; a target is integer labels or floating point values", column.file,
                    column.name, type_string(target)));
  }
  loss.kind = floats ? Loss::kMse : Loss::kCrossEntropy;
  for (const NamedLoss& named : kLosses) {
    if (named.name == name) loss.kind = named.kind;
  }
  loss.soft_labels = takes_classes(loss.kind) && floats;
  return loss;
}

std::optional<int64_t> class_count(const Graph& model, const std::string& output, const LossOptions& loss) {
  for (const GraphOutput& candidate : model.outputs) {
    const std::optional<Shape>& shape = candidate.value->type.shape;
    if (candidate.name != output || !shape) continue;
    const auto rank = static_cast<int64_t>(shape->size());
    const int64_t axis = loss.class_axis < 0 ? loss.class_axis + rank : loss.class_axis;
    if (axis >= 0 && axis < rank && (*shape)[static_cast<size_t>(axis)].is_constant())
      return (*shape)[static_cast<size_t>(axis)].constant();
  }
  return std::nullopt;
}

Status fit_target(const Graph& model, const TrainStep& step, const LossOptions& loss, TargetColumn& column) {
  // The last input is the rate or the share of a batch.
  const Type& type = step.graph->inputs()[step.graph->inputs().size() - 2]->type;
  Tensor& target = column.values;
  if (takes_class_numbers(loss) && target.dtype() != DType::kI64) target = TRY(convert(target, DType::kI64));
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
                         fmt::format("the loss of '{}'", step.trained_output), true));
  if (!takes_class_numbers(loss)) return {};
  const auto classes = class_count(model, step.trained_output, loss);
  return classes ? check_labels(column, loss, step.trained_output, *classes) : Status();
}

Result<std::vector<double>> class_weights_of(const std::string& flag, const LossOptions& loss,
                                             const TargetColumn& column, std::optional<int64_t> classes) {
  std::vector<double> weights;
  if (flag.empty()) return weights;
  if (flag != "balanced") {
    for (const std::string& text : CLI::detail::split(flag, ',')) {
      double weight = 0;
      if (!CLI::detail::lexical_cast(text, weight) || !std::isfinite(weight) || weight < 0) {
        return invalid_input(fmt::format("--class-weights: '{}' is not a number of at least 0", text));
      }
      weights.push_back(weight);
    }
    return weights;
  }
  if (!takes_class_numbers(loss) || !classes)
    return invalid_input(
        "--class-weights balanced needs class numbers and an output whose shape says how many classes there "
        "are");
  std::vector<double> counts(static_cast<size_t>(*classes));
  double total = 0;
  const Tensor& target = column.values;
  for (int64_t i = 0; i < target.elements(); ++i) {
    const int64_t label = target.int_at(i);
    if (label < 0 || label >= *classes || label == loss.ignore_index) continue;
    ++counts[static_cast<size_t>(label)];
    ++total;
  }
  for (const double count : counts)
    weights.push_back(count > 0 ? total / (static_cast<double>(*classes) * count) : 0);
  return weights;
}

std::unique_ptr<Metrics> metrics_of(const LossOptions& loss, const TrainStep& step, int64_t top) {
  switch (loss.kind) {
    case Loss::kCrossEntropy:
    case Loss::kBootstrapSoft:
    case Loss::kBootstrapHard:
    case Loss::kGeneralizedCrossEntropy:
      return loss.soft_labels ? make_soft_class_metrics(loss.class_axis, top)
                              : make_class_metrics(loss.class_axis, loss.ignore_index, top);
    case Loss::kKl:
      return make_soft_class_metrics(loss.class_axis, top);
    case Loss::kBinaryCrossEntropy:
      return make_label_metrics(step.skipped_ending.empty() ? 0 : 0.5);
    case Loss::kMse:
    case Loss::kL1:
    case Loss::kHuber:
      break;
  }
  return make_number_metrics();
}

std::vector<std::string> loss_names() {
  std::vector<std::string> names;
  for (const NamedLoss& loss : kLosses) names.emplace_back(loss.name);
  return names;
}

std::string best_measure(const LossOptions& loss) { return takes_class_numbers(loss) ? "accuracy" : "loss"; }

}  // namespace gannet
