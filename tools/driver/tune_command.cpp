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
  for (const auto& [name, tensor] : arrays) {
    bool is_input = std::any_of(graph.inputs().begin(), graph.inputs().end(), [&](const Value* input) { return input->name == name; });
    if (!is_input) candidates.push_back(name);
  }
  for (const char* usual : {"labels", "label", "targets", "target", "y"}) {
    if (std::find(candidates.begin(), candidates.end(), usual) != candidates.end()) return std::string(usual);
  }
  if (candidates.size() == 1) return candidates[0];
  return invalid_input(fmt::format("{}: which array is the target? give --target NAME", arguments.data));
}

Result<Loss> choose_loss(const Tensor& target, const TuneArguments& arguments) {
  bool numbers = is_int(target.dtype());
  if (arguments.loss == "mse" || (arguments.loss.empty() && !numbers)) {
    if (!is_float(target.dtype())) return invalid_input(fmt::format("mse needs floating point targets, got {}", type_string(target)));
    return Loss::kMse;
  }
  if (!numbers) return invalid_input(fmt::format("cross entropy needs integer labels, got {}", type_string(target)));
  return Loss::kCrossEntropy;
}

Result<TrainingData> read_data(const Graph& graph, const TuneArguments& arguments, const Limits& limits) {
  NamedTensors arrays = TRY(read_npz(arguments.data, limits));
  TrainingData data;
  for (const Value* input : graph.inputs()) {
    Tensor column = TRY(take(arrays, input->name, arguments.data));
    if (column.dtype() != input->type.dtype && is_float(column.dtype()) && is_float(input->type.dtype)) {
      column = TRY(convert(column, input->type.dtype));
    }
    data.columns.emplace_back(input->name, std::move(column));
  }
  std::string name = TRY(target_name(arrays, graph, arguments));
  Tensor target = TRY(take(arrays, name, arguments.data));
  data.loss = TRY(choose_loss(target, arguments));
  if (data.loss == Loss::kCrossEntropy) target = TRY(convert(target, DType::kI64));
  data.columns.emplace_back(name, std::move(target));
  return data;
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
      return invalid_input(fmt::format("the loss is {} in epoch {}, batch {}: try a smaller --lr than {}", loss, epoch + 1, i + 1,
                                       arguments.learning_rate));
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
  Limits limits = TRY(limits_of(arguments.model));
  ImportedModel model = TRY(load_for_training(arguments));
  WeightReport report = TRY(weights_to_state(*model.graph, {arguments.freeze}));
  TrainingData data = TRY(read_data(*model.graph, arguments, limits));
  Result<TrainStep> built = build_train_step(*model.graph, data.loss, arguments.trained_output);
  if (!built.ok()) return with_prefix(arguments.model.path + ": ", built.error());
  TrainStep step = *std::move(built);
  Batches batches = TRY(Batches::make(std::move(data.columns), arguments.batch_size, arguments.seed));
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
  command->add_option("--lr", arguments->learning_rate, "learning rate of SGD")->capture_default_str()->check(CLI::PositiveNumber);
  command->add_option("--freeze", arguments->freeze, "weights to leave alone, by name pattern (repeatable)")
      ->type_name("PATTERN")->take_all()->expected(1)->allow_extra_args(false);
  command->add_option("--seed", arguments->seed, "of the order of rows and of random ops")->capture_default_str();
  return command;
}

}  // namespace gannet
