#include "tools/driver/tune_target.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <cmath>

#include "tools/driver/model_output.h"

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

std::optional<Loss> named_loss(const std::string& name) {
  for (const NamedLoss& named : kLosses) {
    if (named.name == name) return named.kind;
  }
  return std::nullopt;
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
  loss.kind = named_loss(name).value_or(floats ? Loss::kMse : Loss::kCrossEntropy);
  loss.soft_labels = takes_classes(loss.kind) && floats;
  return loss;
}

Result<LossOptions> loss_of_output(const std::string& name, const LossOptions& options, const Graph& model, const std::string& output) {
  LossOptions loss = options;
  const std::optional<Loss> named = named_loss(name);
  if (named) {
    loss.kind = *named;
  } else {
    const std::optional<ChosenOutput> chosen = choose_output(output_specs(model), output);
    if (!chosen) {
      std::vector<std::string> names;
      for (const GraphOutput& candidate : model.outputs) names.push_back(candidate.name);
      return invalid_input(fmt::format("there is no floating point output{}; the model has {}", output.empty() ? "" : fmt::format(" '{}'", output),
                                       fmt::join(names, ", ")));
    }
    const std::optional<int64_t> classes = class_count(model, chosen->name, loss);
    if (!classes)
      return invalid_input(fmt::format("axis {} of output '{}' does not say how many classes there are: give --loss or --class-axis",
                                       loss.class_axis, chosen->name));
    loss.kind = *classes > 1 ? Loss::kCrossEntropy : Loss::kMse;
  }
  if (loss.soft_labels && !takes_classes(loss.kind))
    return invalid_input(fmt::format("--soft-labels: {} takes no classes", name_of(loss.kind)));
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

TargetForm target_form(const Graph& model, const TrainStep& step, const LossOptions& loss, int64_t top) {
  TargetForm form;
  // The last input is the rate or the share of a batch.
  form.type = step.graph->inputs()[step.graph->inputs().size() - 2]->type;
  form.output = step.trained_output;
  form.class_axis = loss.class_axis;
  form.ignore_index = loss.ignore_index;
  form.top = top;
  if (loss.kind == Loss::kBinaryCrossEntropy) {
    form.kind = TargetKind::kLabels;
    form.threshold = step.skipped_ending.empty() ? 0 : 0.5;
  } else if (has_classes(loss.kind)) {
    form.kind = takes_class_numbers(loss) ? TargetKind::kClasses : TargetKind::kShares;
    form.classes = class_count(model, step.trained_output, loss);
  } else {
    form.kind = TargetKind::kNumbers;
  }
  return form;
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
    if (std::ranges::all_of(weights, [](double weight) { return weight == 0; }))
      return invalid_input(fmt::format("--class-weights {}: one must be above 0", flag));
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

std::vector<std::string> loss_names() {
  std::vector<std::string> names;
  for (const NamedLoss& loss : kLosses) names.emplace_back(loss.name);
  return names;
}

}  // namespace gannet
