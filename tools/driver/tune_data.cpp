#include "tools/driver/tune_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "runtime/data/npy.h"

namespace gannet {

namespace {

Result<Tensor> take(const NamedTensors& arrays, const std::string& name, const std::string& file) {
  std::string all;
  for (const auto& [candidate, tensor] : arrays) {
    if (candidate == name) return tensor;
    all += (all.empty() ? "" : ", ") + candidate;
  }
  return invalid_input(fmt::format("{}: there is no array '{}'; it holds {}", file, name, all));
}

Result<std::string> find_target(const std::string& file, const NamedTensors& arrays, const Graph& graph,
                                const TuneArguments& arguments) {
  if (!arguments.target.empty()) return arguments.target;
  std::vector<std::string> candidates;
  for (const auto& array : arrays) {
    const std::string& name = array.first;
    const bool is_input =
        std::ranges::any_of(graph.inputs(), [&](const Value* input) { return input->name == name; });
    if (!is_input) candidates.push_back(name);
  }
  for (const char* usual : {"labels", "label", "targets", "target", "y"}) {
    if (std::ranges::find(candidates, usual) != candidates.end()) return std::string(usual);
  }
  if (candidates.size() == 1) return candidates[0];
  std::string names;
  for (const std::string& name : candidates) names += (names.empty() ? "" : ", ") + name;
  return invalid_input(fmt::format(
      "{}: {}", file,
      candidates.empty() ? "all its arrays are inputs of the model, it lacks the labels or targets"
                         : fmt::format("which array is the target? give --target with one of {}", names)));
}

Status check_finite(const std::string& file, const std::string& name, const Tensor& tensor) {
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    const double value = tensor.double_at(i);
    if (std::isfinite(value)) continue;
    const int64_t row = tensor.rank() == 0 ? 0 : i / (tensor.elements() / tensor.extent(0));
    return invalid_input(fmt::format("{}: array '{}' holds {} in row {}", file, name,
                                     std::isnan(value) ? "NaN" : "an infinity", row));
  }
  return {};
}

// Brings an array into the type of the input it feeds, floating point of any width, and says what does not
// fit.
Result<Tensor> fitted(const std::string& file, const std::string& name, Tensor tensor, const Type& type,
                      std::string_view taker, bool from_integers) {
  auto misfit = [&] {
    return invalid_input(fmt::format("{}: array '{}' is {}, {} takes {}", file, name, type_string(tensor),
                                     taker, to_string(type)));
  };
  const bool integers = is_int(tensor.dtype()) || tensor.dtype() == DType::kBool;
  const bool converts = is_float(type.dtype) && (is_float(tensor.dtype()) || (from_integers && integers));
  if (!type.is_tensor() || (tensor.dtype() != type.dtype && !converts)) return misfit();
  if (type.shape) {
    if (tensor.rank() != type.rank()) return misfit();
    for (size_t axis = 0; axis < type.shape->size(); ++axis) {
      const Dim& extent = (*type.shape)[axis];
      if (axis > 0 && extent.is_constant() && !extent.is_constant(tensor.extents()[axis])) return misfit();
    }
  }
  if (is_float(tensor.dtype())) TRY(check_finite(file, name, tensor));
  return tensor.dtype() == type.dtype ? Result<Tensor>(std::move(tensor)) : convert(tensor, type.dtype);
}

struct NamedLoss {
  std::string_view name;
  Loss kind;
};

constexpr std::array<NamedLoss, 6> kLosses = {{{"cross-entropy", Loss::kCrossEntropy},
                                               {"mse", Loss::kMse},
                                               {"binary-cross-entropy", Loss::kBinaryCrossEntropy},
                                               {"l1", Loss::kL1},
                                               {"huber", Loss::kHuber},
                                               {"kl", Loss::kKl}}};

bool takes_class_numbers(const LossOptions& loss) {
  return loss.kind == Loss::kCrossEntropy && !loss.soft_labels;
}

Status check_labels(const TuneData& data, const LossOptions& loss, const std::string& output,
                    int64_t classes) {
  const Tensor& target = data.target();
  for (int64_t i = 0; i < target.elements(); ++i) {
    const int64_t label = target.int_at(i);
    if ((label >= 0 && label < classes) || label == loss.ignore_index) continue;
    return invalid_input(
        fmt::format("{}: label {} in row {} of '{}' is not one of the {} classes of output '{}'{}", data.file,
                    label, i / (target.elements() / target.extent(0)), data.target_name(), classes, output,
                    classes == 1 ? "; for one output give floating point targets" : ""));
  }
  return {};
}

}  // namespace

Result<TuneData> read_tune_data(const std::string& file, const Graph& model, const TuneArguments& arguments,
                                const Limits& limits) {
  const NamedTensors arrays = TRY(read_npz(file, limits));
  TuneData data{file, {}};
  for (const Value* input : model.inputs()) {
    Tensor column = TRY(take(arrays, input->name, file));
    column = TRY(fitted(file, input->name, std::move(column), input->type,
                        fmt::format("input '{}'", input->name), false));
    data.columns.emplace_back(input->name, std::move(column));
  }
  const std::string name = TRY(find_target(file, arrays, model, arguments));
  data.columns.emplace_back(name, TRY(take(arrays, name, file)));
  return data;
}

Result<LossOptions> loss_of(const TuneArguments& arguments, const TuneData& data) {
  LossOptions loss = arguments.loss_options;
  const Tensor& target = data.target();
  const bool floats = is_float(target.dtype());
  if (!floats && !is_int(target.dtype()) && target.dtype() != DType::kBool) {
    return invalid_input(
        fmt::format("{}: array '{}' is {}; a target is integer labels or floating point values", data.file,
                    data.target_name(), type_string(target)));
  }
  loss.kind = floats ? Loss::kMse : Loss::kCrossEntropy;
  for (const NamedLoss& named : kLosses) {
    if (named.name == arguments.loss) loss.kind = named.kind;
  }
  loss.soft_labels = loss.kind == Loss::kCrossEntropy && floats;
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

Status fit_target(const Graph& model, const TrainStep& step, const LossOptions& loss, TuneData& data) {
  // The last input is the rate or the share of a batch.
  const Type& type = step.graph->inputs()[step.graph->inputs().size() - 2]->type;
  Tensor& target = data.target();
  if (takes_class_numbers(loss) && target.dtype() != DType::kI64) target = TRY(convert(target, DType::kI64));
  const bool one_too_many = type.shape && target.rank() == type.rank() + 1 && target.extents().back() == 1;
  const bool lacks_one = type.shape && target.rank() + 1 == type.rank() && type.shape->back().is_constant(1);
  std::vector<int64_t> extents = target.extents();
  if (one_too_many) extents.pop_back();
  if (lacks_one) extents.push_back(1);
  if (one_too_many || lacks_one) target = target.reshaped(extents);
  target = TRY(fitted(data.file, data.target_name(), std::move(target), type,
                      fmt::format("the loss of '{}'", step.trained_output), true));
  if (!takes_class_numbers(loss)) return {};
  const auto classes = class_count(model, step.trained_output, loss);
  return classes ? check_labels(data, loss, step.trained_output, *classes) : Status();
}

Result<std::vector<double>> class_weights_of(const TuneArguments& arguments, const LossOptions& loss,
                                             const TuneData& data, std::optional<int64_t> classes) {
  std::vector<double> weights;
  if (arguments.class_weights.empty()) return weights;
  if (arguments.class_weights != "balanced") {
    for (const std::string& text : CLI::detail::split(arguments.class_weights, ',')) {
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
  const Tensor& target = data.target();
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

std::unique_ptr<Metrics> metrics_of(const LossOptions& loss, const TrainStep& step) {
  switch (loss.kind) {
    case Loss::kCrossEntropy:
      return loss.soft_labels ? make_soft_class_metrics(loss.class_axis)
                              : make_class_metrics(loss.class_axis, loss.ignore_index);
    case Loss::kKl:
      return make_soft_class_metrics(loss.class_axis);
    case Loss::kBinaryCrossEntropy:
      return make_label_metrics(step.skipped_ending.empty() ? 0 : 0.5);
    case Loss::kMse:
    case Loss::kL1:
    case Loss::kHuber:
      break;
  }
  return make_number_metrics();
}

std::string best_measure(const TuneArguments& arguments, const LossOptions& loss) {
  if (!arguments.best_by.empty()) return arguments.best_by;
  return takes_class_numbers(loss) ? "accuracy" : "loss";
}

}  // namespace gannet
