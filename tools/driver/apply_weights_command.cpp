#include "tools/driver/apply_weights_command.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/head.h"
#include "frontend/import.h"
#include "frontend/patch.h"
#include "ir/graph.h"
#include "passes/weights_to_state.h"
#include "runtime/training/safetensors.h"
#include "tools/deploy/label_metadata.h"
#include "tools/deploy/output_path.h"
#include "tools/driver/command.h"

namespace gannet {
namespace {

struct ApplyWeightsArguments {
  std::string model, weights, output;
  std::vector<std::string> limits;
  bool skip_unknown = false, no_average = false;
};

struct FileTensor {
  int64_t offset = -1;
  Tensor value;
  std::optional<QuantizedWeight> codes = {};  // where the file holds codes, and training the numbers that they stand for
};

// The constants of the model's file by the names that they have as States in training, as weights_to_state gives them; what
// is none has its own name, or "name#2" where that is taken.
std::map<std::string, FileTensor> tensors_of(const Graph& graph) {
  std::map<int64_t, std::string> state_names;
  std::set<std::string> taken;
  const std::unique_ptr<Graph> trained = graph.clone();
  // What cannot be trained has no States; its constants can be replaced all the same.
  const Result<WeightReport> weights = weights_to_state(*trained, {.running_statistics = true});
  if (weights.ok()) {
    for (const State& state : trained->states) {
      if (state.origin && state_names.emplace(state.origin->offset, state.name).second) taken.insert(state.name);
    }
  }
  std::map<std::string, FileTensor> tensors;
  std::set<int64_t> seen;
  for_each_node(graph, [&](const Node& node) {
    for (const Value* value : node.outputs()) {
      if (!value || !value->origin || !value->constant() || !seen.insert(value->origin->offset).second) continue;
      const auto known = state_names.find(value->origin->offset);
      const std::string name = known == state_names.end() ? unused_name(taken, value->origin->name) : known->second;
      tensors.emplace(name, FileTensor{value->origin->offset, *value->constant()});
    }
  });
  if (!weights.ok()) return tensors;
  for (const QuantizedWeight& quantized : weights->quantized) {
    const auto found = tensors.find(quantized.state);
    if (found != tensors.end()) found->second.codes = quantized;
  }
  return tensors;
}

constexpr std::string_view kAverage = "ema/";

// The averages that training with --ema keeps beside the weights stand for them, as in the file that it writes.
NamedTensors with_averages(const NamedTensors& given, const std::map<std::string, FileTensor>& tensors, size_t& averages) {
  std::map<std::string, const Tensor*> average_of;
  for (const auto& [name, value] : given) {
    if (name.starts_with(kAverage) && tensors.contains(name.substr(kAverage.size()))) average_of[name.substr(kAverage.size())] = &value;
  }
  averages = average_of.size();
  NamedTensors chosen;
  for (const auto& [name, value] : given) {
    if (average_of.contains(name)) continue;
    const bool is_average = name.starts_with(kAverage) && average_of.contains(name.substr(kAverage.size()));
    chosen.emplace_back(is_average ? name.substr(kAverage.size()) : name, value);
  }
  return chosen;
}

bool is_floating(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF64 || dtype == DType::kF16 || dtype == DType::kBF16;
}

Status check_fit(const std::string& name, const Tensor& given, const Tensor& in_file) {
  const bool same_kind = given.dtype() == in_file.dtype() || (is_floating(given.dtype()) && is_floating(in_file.dtype()));
  if (same_kind && given.extents() == in_file.extents()) return {};
  return invalid_input(fmt::format("'{}' is {}, the model has {}", name, type_string(given), type_string(in_file)));
}

Status apply_weights(const ApplyWeightsArguments& arguments) {
  TRY(check_outputs({arguments.output}, {arguments.weights}));
  ImportOptions options;
  options.limits = default_limits();
  for (const std::string& limit : arguments.limits) TRY(set_limit(options.limits, limit));
  ImportedModel model = TRY(import_model(arguments.model, options));
  TRY(check_new_model(arguments.output, *model.source, arguments.model));
  const Safetensors weights = TRY(read_safetensors(arguments.weights, options.limits));
  const Metadata metadata = model_metadata_of(weights.metadata);
  if (!metadata.empty()) model = TRY(import_model(TRY(with_metadata(*model.source, metadata, options.limits)), options));
  const std::map<std::string, FileTensor> tensors = tensors_of(*model.graph);
  size_t averages = 0;
  const NamedTensors chosen = arguments.no_average ? weights.tensors : with_averages(weights.tensors, tensors, averages);

  std::vector<TensorPatch> patches;
  std::vector<std::string> unknown;
  for (const auto& [name, value] : chosen) {
    const auto found = tensors.find(name);
    if (found == tensors.end()) {
      unknown.push_back(name);
      continue;
    }
    const Tensor& in_file = found->second.value;
    const bool becomes_codes = found->second.codes && is_floating(value.dtype()) && value.extents() == in_file.extents();
    const Tensor fitted = becomes_codes ? TRY(quantize_again(*found->second.codes, value)) : value;
    if (Status status = check_fit(name, fitted, in_file); !status.ok()) return with_prefix(arguments.weights + ": ", status.error());
    patches.push_back({found->second.offset, fitted});
  }
  if (!unknown.empty() && !arguments.skip_unknown) {
    return invalid_input(fmt::format("{}: {} of {} tensors are no weights of {}, '{}' for one; --skip-unknown leaves them out", arguments.weights,
                                     unknown.size(), weights.tensors.size(), arguments.model, unknown.front()));
  }
  if (patches.empty()) return invalid_input(fmt::format("{} has no weight of {}", arguments.weights, arguments.model));
  TRY(write_patched_model(*model.source, patches, arguments.output, options.limits));
  fmt::print("{} of the model's {} tensors replaced", patches.size(), tensors.size());
  if (averages > 0) fmt::print(", {} by moving averages", averages);
  if (!unknown.empty()) fmt::print(", {} left out", unknown.size());
  fmt::print("\nwrote {}\n", arguments.output);
  return {};
}

}  // namespace

CLI::App* add_apply_weights_command(CLI::App& app, std::function<int()>& run) {
  auto arguments = std::make_shared<ApplyWeightsArguments>();
  CLI::App* command = add_command(app, "apply-weights", "Put weights of a safetensors file into an ONNX file.",
                                  "gannet apply-weights model.onnx weights.safetensors -o tuned.onnx", run,
                                  [arguments] { return apply_weights(*arguments); });
  command->add_option("MODEL", arguments->model, "the ONNX file")->required();
  command->add_option("WEIGHTS", arguments->weights, "safetensors, each named as in the model")->required();
  command->add_option("-o,--output", arguments->output, "the file to write")->type_name("FILE.onnx")->required();
  command->add_flag("--skip-unknown", arguments->skip_unknown, "leave out tensors that the model does not have");
  command->add_flag("--no-average", arguments->no_average, "take the weights themselves where a checkpoint of --ema has averages too");
  add_limit_argument(*command, arguments->limits);
  return command;
}

}  // namespace gannet
