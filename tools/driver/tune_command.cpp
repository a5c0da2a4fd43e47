#include "tools/driver/tune_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "frontend/patch.h"
#include "ir/evaluate.h"
#include "passes/build_train_step.h"
#include "passes/weights_to_state.h"
#include "runtime/data/npy.h"
#include "runtime/data/tensor_statistics.h"
#include "runtime/training/batches.h"
#include "tools/driver/command.h"

namespace gannet {

namespace {

struct TuneArguments {
  ModelArguments model;
  std::string data;
  std::string output;
  std::string target;
  std::string loss;
  std::string trained_output;
  std::vector<std::string> freeze;
  int64_t epochs = 10;
  int64_t batch_size = 32;
  double learning_rate = 0.05;
  uint64_t seed = 0;
};

// The arrays of the file in the order of the training step's inputs: those of the model, then the target.
struct TrainingData {
  NamedTensors columns;
  Loss loss = Loss::kCrossEntropy;
};

Result<Tensor> take(NamedTensors& arrays, const std::string& name, const std::string& file) {
  for (auto& [candidate, tensor] : arrays) {
    if (candidate == name) return tensor;
  }
  std::string all;
  for (const auto& [candidate, tensor] : arrays) all += (all.empty() ? "" : ", ") + candidate;
  return invalid_input(fmt::format("{}: there is no array '{}'; it holds {}", file, name, all));
}

Result<std::string> target_name(const NamedTensors& arrays, const Graph& graph, const TuneArguments& arguments) {
  if (!arguments.target.empty()) return arguments.target;
  std::vector<std::string> candidates;
  for (const auto& array : arrays) {
    const std::string& name = array.first;
    bool is_input = std::any_of(graph.inputs().begin(), graph.inputs().end(), [&](const Value* input) { return input->name == name; });
    if (!is_input) candidates.push_back(name);
  }
  for (const char* usual : {"labels", "label", "targets", "target", "y"}) {
    if (std::find(candidates.begin(), candidates.end(), usual) != candidates.end()) return std::string(usual);
  }
  if (candidates.size() == 1) return candidates[0];
  std::string names;
  for (const std::string& name : candidates) names += (names.empty() ? "" : ", ") + name;
  return invalid_input(fmt::format("{}: {}", arguments.data,
                                   candidates.empty() ? "all its arrays are inputs of the model, it lacks the labels or targets"
                                                      : fmt::format("which array is the target? give --target with one of {}", names)));
}

Result<Loss> choose_loss(const std::string& name, const Tensor& target, const TuneArguments& arguments) {
  bool labels = is_int(target.dtype()) || target.dtype() == DType::kBool;
  if (arguments.loss != "cross-entropy" && is_float(target.dtype())) return Loss::kMse;
  if (arguments.loss != "mse" && labels) return Loss::kCrossEntropy;
  return invalid_input(fmt::format("{}: array '{}' is {}; {}", arguments.data, name, type_string(target),
                                   arguments.loss.empty() ? "a target is integer labels or floating point values"
                                   : arguments.loss == "mse" ? "mse needs floating point targets"
                                                             : "cross entropy needs integer labels"));
}

// Brings an array into the type of the input it feeds, floating point of any width, and says what does not fit.
Result<Tensor> fitted(const std::string& file, const std::string& name, Tensor tensor, const Type& type, std::string_view taker) {
  auto misfit = [&] {
    return invalid_input(fmt::format("{}: array '{}' is {}, {} takes {}", file, name, type_string(tensor), taker, to_string(type)));
  };
  bool converts = is_float(tensor.dtype()) && is_float(type.dtype);
  if (!type.is_tensor() || (tensor.dtype() != type.dtype && !converts)) return misfit();
  if (type.shape) {
    if (tensor.rank() != type.rank()) return misfit();
    for (size_t axis = 0; axis < type.shape->size(); ++axis) {
      const Dim& extent = (*type.shape)[axis];
      if (axis > 0 && extent.is_constant() && !extent.is_constant(tensor.extents()[axis])) return misfit();
    }
  }
  if (!is_float(tensor.dtype())) return tensor;
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    double value = tensor.double_at(i);
    if (std::isfinite(value)) continue;
    int64_t row = tensor.rank() == 0 ? 0 : i / (tensor.elements() / tensor.extent(0));
    return invalid_input(fmt::format("{}: array '{}' holds {} in row {}", file, name, std::isnan(value) ? "NaN" : "an infinity", row));
  }
  return tensor.dtype() == type.dtype ? Result<Tensor>(std::move(tensor)) : convert(tensor, type.dtype);
}

Result<TrainingData> read_data(const Graph& graph, const TuneArguments& arguments, const Limits& limits) {
  NamedTensors arrays = TRY(read_npz(arguments.data, limits));
  TrainingData data;
  for (const Value* input : graph.inputs()) {
    Tensor column = TRY(take(arrays, input->name, arguments.data));
    column = TRY(fitted(arguments.data, input->name, std::move(column), input->type, fmt::format("input '{}'", input->name)));
    data.columns.emplace_back(input->name, std::move(column));
  }
  std::string name = TRY(target_name(arrays, graph, arguments));
  Tensor target = TRY(take(arrays, name, arguments.data));
  data.loss = TRY(choose_loss(name, target, arguments));
  if (data.loss == Loss::kCrossEntropy) target = TRY(convert(target, DType::kI64));
  data.columns.emplace_back(name, std::move(target));
  return data;
}

// The target as the step takes it; every label must be a class that the output has.
Status fit_target(const Graph& model, const TrainStep& step, const TuneArguments& arguments, TrainingData& data) {
  auto& [name, target] = data.columns.back();
  const Type& type = step.graph->inputs()[data.columns.size() - 1]->type;
  bool one_column = data.loss == Loss::kCrossEntropy && type.shape && target.rank() == type.rank() + 1 && target.extents().back() == 1;
  bool lacks_column = data.loss == Loss::kMse && type.shape && target.rank() + 1 == type.rank() && type.shape->back().is_constant(1);
  if (lacks_column) {
    std::vector<int64_t> extents = target.extents();
    extents.push_back(1);
    target = target.reshaped(extents);
  }
  if (one_column) target = target.reshaped({target.extents().begin(), target.extents().end() - 1});
  target = TRY(fitted(arguments.data, name, std::move(target), type, fmt::format("the loss of '{}'", step.trained_output)));
  if (data.loss != Loss::kCrossEntropy) return {};
  for (const GraphOutput& output : model.outputs) {
    const std::optional<Shape>& shape = output.value->type.shape;
    if (output.name != step.trained_output || !shape || shape->size() < 2 || !(*shape)[1].is_constant()) continue;
    int64_t classes = (*shape)[1].constant();
    for (int64_t i = 0; i < target.elements(); ++i) {
      int64_t label = target.int_at(i);
      if (label >= 0 && label < classes) continue;
      return invalid_input(fmt::format("{}: label {} in row {} of '{}' is not one of the {} classes of output '{}'{}", arguments.data, label,
                                       i / (target.elements() / target.extent(0)), name, classes, output.name,
                                       classes == 1 ? "; for one output give floating point targets" : ""));
    }
  }
  return {};
}

// A pattern that freezes nothing is a slip.
Status check_freeze_patterns(const WeightReport& report, const TuneArguments& arguments) {
  std::vector<std::string> names = report.trained;
  names.insert(names.end(), report.frozen.begin(), report.frozen.end());
  for (const std::string& pattern : arguments.freeze) {
    bool found = std::any_of(names.begin(), names.end(), [&](const std::string& name) { return matches_pattern(pattern, name); });
    if (found) continue;
    constexpr size_t kShown = 8;
    std::string shown;
    for (size_t i = 0; i < std::min(names.size(), kShown); ++i) shown += (i ? ", " : "") + names[i];
    if (names.size() > kShown) shown += fmt::format(" and {} more", names.size() - kShown);
    return invalid_input(fmt::format("{}: --freeze '{}' matches no weight; there are {}", arguments.model.path, pattern, shown));
  }
  return {};
}

bool has_fixed_batch(const Graph& graph) {
  return std::any_of(graph.inputs().begin(), graph.inputs().end(), [](const Value* input) {
    return input->type.shape && !input->type.shape->empty() && (*input->type.shape)[0].is_constant();
  });
}

// A model whose batch is fixed in the file trains with a symbolic one; the file keeps its own.
Result<ImportedModel> load_for_training(const TuneArguments& arguments) {
  ImportedModel model = TRY(load_model(arguments.model));
  if (!has_fixed_batch(*model.graph) || arguments.model.symbolic_batch) return model;
  ModelArguments symbolic = arguments.model;
  symbolic.symbolic_batch = true;
  return load_model(symbolic);
}

std::vector<Datum> as_data(std::vector<Tensor> tensors) {
  return {std::make_move_iterator(tensors.begin()), std::make_move_iterator(tensors.end())};
}

// Mean loss over one epoch, weighted by rows.
Result<double> train_epoch(const TrainStep& step, Batches& batches, int64_t epoch, const TuneArguments& arguments,
                           std::vector<Tensor>& weights, const Limits& limits) {
  batches.start_epoch(epoch);
  double total = 0;
  for (int64_t i = 0; i < batches.per_epoch(); ++i) {
    std::vector<Datum> inputs = as_data(batches.batch(i));
    double rows = static_cast<double>(inputs[0].tensor().extent(0));
    inputs.emplace_back(Tensor::scalar(static_cast<float>(arguments.learning_rate)));
    EvaluateOptions options;
    options.limits = limits;
    options.seed = arguments.seed + static_cast<uint64_t>(epoch * batches.per_epoch() + i);
    EvaluateResult result = TRY(evaluate(*step.graph, std::move(inputs), options, weights));
    weights = std::move(result.state_outputs);
    double loss = result.outputs[0].tensor().double_at(0);
    if (!std::isfinite(loss)) {
      return invalid_input(fmt::format("the loss is {} in epoch {}, batch {}: the training diverges, try a smaller --lr than {}; nothing was written",
                                       std::isnan(loss) ? "NaN" : "infinite", epoch + 1, i + 1, arguments.learning_rate));
    }
    total += loss * rows;
  }
  return total / static_cast<double>(batches.rows());
}

// Share of rows whose largest output is their label.
Result<double> accuracy(const Graph& model, const std::string& output_name, Batches& batches,
                        const std::vector<Tensor>& weights, const Limits& limits) {
  size_t output = 0;
  while (model.outputs[output].name != output_name) ++output;
  batches.start_in_order();
  int64_t right = 0, total = 0;
  for (int64_t i = 0; i < batches.per_epoch(); ++i) {
    std::vector<Datum> inputs = as_data(batches.batch(i));
    Tensor labels = inputs.back().tensor();
    inputs.pop_back();
    EvaluateOptions options;
    options.limits = limits;
    EvaluateResult result = TRY(evaluate(model, std::move(inputs), options, weights));
    const Tensor& scores = result.outputs[output].tensor();
    if (labels.elements() == 0 || scores.elements() % labels.elements() != 0 || labels.rank() != 1) return -1.0;
    Tensor rows = scores.reshaped({labels.elements(), scores.elements() / labels.elements()});
    for (int64_t row = 0; row < labels.elements(); ++row) right += top_k(rows, row, 1)[0].index == labels.int_at(row);
    total += labels.elements();
  }
  return static_cast<double>(right) / static_cast<double>(total);
}

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

Status export_weights(const ImportedModel& model, const std::vector<Tensor>& weights, const std::string& output, const Limits& limits) {
  std::vector<TensorPatch> patches;
  for (size_t i = 0; i < weights.size(); ++i) {
    const State& state = model.graph->states[i];
    patches.push_back({state.origin->offset, weights[i]});
  }
  return write_patched_model(*model.source, patches, output, limits);
}

Status tune(const TuneArguments& arguments) {
  TRY(check_output_path(arguments.output));
  Limits limits = TRY(limits_of(arguments.model));
  ImportedModel model = TRY(load_for_training(arguments));
  Result<WeightReport> weighed = weights_to_state(*model.graph, {arguments.freeze});
  if (!weighed.ok()) return with_prefix(arguments.model.path + ": ", weighed.error());
  WeightReport report = *std::move(weighed);
  TRY(check_freeze_patterns(report, arguments));
  TrainingData data = TRY(read_data(*model.graph, arguments, limits));
  Result<TrainStep> built = build_train_step(*model.graph, data.loss, arguments.trained_output);
  if (!built.ok()) return with_prefix(arguments.model.path + ": ", built.error());
  TrainStep step = *std::move(built);
  TRY(fit_target(*model.graph, step, arguments, data));
  Result<Batches> made = Batches::make(std::move(data.columns), arguments.batch_size, arguments.seed);
  if (!made.ok()) return with_prefix(arguments.data + ": ", made.error());
  Batches batches = *std::move(made);
  int64_t parameters = 0;
  for (const State& state : model.graph->states) parameters += state.initial.elements();
  fmt::print("training {} weights of {} tensors on {} rows, {} of '{}'{}\n", parameters, report.trained.size(), batches.rows(),
             data.loss == Loss::kMse ? "mean squared error" : "cross entropy", step.trained_output,
             step.skipped_ending.empty() ? "" : fmt::format(", on the logits before its {}", step.skipped_ending));
  if (!report.frozen.empty()) fmt::print("frozen: {}\n", join(report.frozen));

  std::vector<Tensor> weights;
  for (const State& state : model.graph->states) weights.push_back(state.initial);
  for (int64_t epoch = 0; epoch < arguments.epochs; ++epoch) {
    double loss = TRY(train_epoch(step, batches, epoch, arguments, weights, limits));
    fmt::print("epoch {}/{}  loss {:.6g}\n", epoch + 1, arguments.epochs, loss);
    std::fflush(stdout);
  }
  if (data.loss == Loss::kCrossEntropy) {
    double share = TRY(accuracy(*model.graph, step.trained_output, batches, weights, limits));
    if (share >= 0) fmt::print("accuracy on the training data {:.4f}\n", share);
  }
  TRY(export_weights(model, weights, arguments.output, limits));
  fmt::print("wrote {}\n", arguments.output);
  return {};
}

}  // namespace

CLI::App* add_tune_command(CLI::App& app, std::function<int()>& run) {
  auto arguments = std::make_shared<TuneArguments>();
  CLI::App* command = add_command(app, "tune", "Train a model's weights and write the same file with the new ones.",
                                  "gannet tune mlp.onnx --data samples.npz --epochs 20 -o tuned.onnx", run,
                                  [arguments] { return tune(*arguments); });
  add_model_arguments(*command, arguments->model);
  command->add_option("--data", arguments->data, "arrays named as the model's inputs, and the target")->type_name("FILE.npz")->required();
  command->add_option("-o,--output", arguments->output, "the tuned model")->type_name("FILE.onnx")->required();
  command->add_option("--target", arguments->target, "array of labels or targets [labels, targets, y or the only one left]")->type_name("NAME");
  command->add_option("--loss", arguments->loss, "cross-entropy for integer labels, mse for floats")
      ->check(CLI::IsMember({"cross-entropy", "mse"}));
  command->add_option("--trained-output", arguments->trained_output, "output that the loss reads [the first float one]")->type_name("NAME");
  command->add_option("--epochs", arguments->epochs, "passes over the data")->capture_default_str()->check(CLI::Range(1, 1000000));
  command->add_option("--batch-size", arguments->batch_size, "rows a step")->capture_default_str()->check(CLI::Range(1, 1000000));
  command->add_option("--lr", arguments->learning_rate, "learning rate of SGD")->capture_default_str()->check(finite_number(true));
  command->add_option("--freeze", arguments->freeze, "weights to leave alone, by name pattern (repeatable)")
      ->type_name("PATTERN")->take_all()->expected(1)->allow_extra_args(false);
  add_seed(*command, arguments->seed, "of the order of rows and of random ops");
  return command;
}

}  // namespace gannet
