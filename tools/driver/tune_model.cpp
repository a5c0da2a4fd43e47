#include "tools/driver/tune_model.h"

#include <fmt/format.h>

#include <algorithm>

#include "frontend/inference_form.h"
#include "frontend/patch.h"
#include "passes/build_evaluation.h"
#include "passes/widen_model.h"
#include "tools/driver/compile.h"
#include "tools/driver/training_runner.h"
#include "tools/driver/tune_options.h"

namespace gannet {

namespace {

bool has_fixed_batch(const Graph& graph) {
  return std::ranges::any_of(graph.inputs(), [](const Value* input) {
    return input->type.shape && !input->type.shape->empty() && (*input->type.shape)[0].is_constant();
  });
}

// The file as it is, or with the head that the flags ask for; its batch is symbolic where it can be.
Result<ImportedModel> edit_for_training(ImportedModel model, const Metadata& metadata,
                                        const TuneArguments& arguments, std::optional<HeadReport>& head,
                                        std::vector<std::string>& normalizations) {
  ModelArguments flags = arguments.model;
  const Limits limits = TRY(limits_of(flags));
  InferenceForm form = TRY(to_inference_form(*model.source, limits));
  if (form.file) model = TRY(import_model(std::move(form.file), TRY(import_options(flags))));
  normalizations = std::move(form.nodes);
  std::shared_ptr<const ModelFile> file = model.source;
  if (arguments.new_head > 0) {
    EditedModel edited =
        TRY(replace_head(*file, {arguments.new_head, arguments.head_layer, arguments.seed}, limits));
    file = std::move(edited.file);
    head = std::move(edited.head);
  } else if (arguments.added_head > 0) {
    HeadAddition addition;
    addition.classes = arguments.added_head;
    addition.output = arguments.features;
    addition.pooling = arguments.pooling == "mean" ? Pooling::kMean : Pooling::kFirstToken;
    addition.mask = arguments.pooling_mask;
    addition.seed = arguments.seed;
    EditedModel edited = TRY(add_head(model, addition, limits));
    file = std::move(edited.file);
    head = std::move(edited.head);
  }
  for (const char* flag : {"--features", "--pooling"}) {
    if (arguments.added_head == 0 && arguments.given.contains(flag))
      return invalid_input(fmt::format("{}: no head is added to the model", flag));
  }
  const bool opens = has_fixed_batch(*model.graph) && !flags.symbolic_batch;
  if (!metadata.empty()) file = TRY(with_metadata(*file, metadata, limits));
  if (file == model.source && !opens) return model;
  flags.symbolic_batch |= opens;
  return import_model(std::move(file), TRY(import_options(flags)));
}

// A pattern that matches nothing is a slip.
Status check_pattern(const std::vector<std::string>& names, const std::string& pattern, std::string_view flag,
                     const std::string& path) {
  if (std::ranges::any_of(names, [&](const std::string& name) { return matches_pattern(pattern, name); }))
    return {};
  constexpr size_t kShown = 8;
  std::string shown;
  for (size_t i = 0; i < std::min(names.size(), kShown); ++i) shown += (i ? ", " : "") + names[i];
  if (names.size() > kShown) shown += fmt::format(" and {} more", names.size() - kShown);
  return invalid_input(
      fmt::format("{}: {} '{}' matches no weight; there are {}", path, flag, pattern, shown));
}

Status check_frozen(const WeightReport& report, const TuneArguments& arguments) {
  std::vector<std::string> names = report.trained;
  names.insert(names.end(), report.frozen.begin(), report.frozen.end());
  for (const std::string& pattern : arguments.freeze)
    TRY(check_pattern(names, pattern, "--freeze", arguments.model.path));
  return {};
}

// With --lora these are the thin matrices and the last layer.
Status check_trained(const WeightReport& report, const TuneArguments& arguments) {
  std::vector<std::string> names = report.trained;
  if (arguments.lora.empty()) names.insert(names.end(), report.frozen.begin(), report.frozen.end());
  const std::string& path = arguments.model.path;
  for (const std::string& pattern : arguments.update.no_decay)
    TRY(check_pattern(names, pattern, "--no-decay", path));
  for (const std::string& text : arguments.rates_by_name) {
    TRY(check_pattern(names, text.substr(0, text.rfind('=')), "--lr-for", path));
  }
  return {};
}

// All that is trained from here on: the thin matrices, and the last layer.
Status use_low_rank(TuneModel& model, const TuneArguments& arguments) {
  Graph& graph = *model.imported.graph;
  LowRankOptions options = TRY(low_rank_of(arguments));
  options.output = arguments.trained_output;
  Result<std::vector<LowRankWeight>> made = make_low_rank(graph, options);
  if (!made.ok()) return with_prefix(arguments.model.path + ": --lora: ", made.error());
  model.low_rank = *std::move(made);
  model.weights.running_statistics.clear();
  model.weights.trained.clear();
  for (const State& state : graph.states) model.weights.trained.push_back(state.name);
  return {};
}

const Tensor& weight_named(const NamedTensors& weights, const std::string& name) {
  const auto found = std::ranges::find(weights, name, &std::pair<std::string, Tensor>::first);
  CHECK(found != weights.end(), "weight '{}' was not trained", name);
  return found->second;
}

Result<std::unique_ptr<GraphRunner>> make_runner(std::unique_ptr<Graph> graph, std::string_view pipeline,
                                                 const TuneArguments& arguments, const Limits& limits,
                                                 MemoryAim* memory = nullptr) {
  const RunnerOptions options = {arguments.backend == "reference", arguments.compile, arguments.threads, arguments.seed, limits};
  return make_training_runner(std::move(graph), pipeline, options, memory);
}

}  // namespace

int64_t TuneModel::parameters() const {
  int64_t count = 0;
  for (const State& state : graph().states) count += state.initial.elements();
  return count;
}

int64_t TuneModel::copied_bytes() const {
  int64_t bytes = 0;
  for (const State& state : graph().states) {
    if (!is_mapped(*imported.source, state.initial.raw())) bytes += state.initial.bytes();
  }
  return bytes;
}

void TuneModel::forget_weights() {
  for (State& state : imported.graph->states) state.initial = Tensor();
}

Result<TuneModel> make_tune_model(ImportedModel original, const Metadata& metadata,
                                  const TuneArguments& arguments) {
  TuneModel model;
  Result<ImportedModel> imported = edit_for_training(std::move(original), metadata, arguments, model.head, model.changed_normalizations);
  if (!imported.ok()) return imported.error();
  model.imported = *std::move(imported);
  model.widened = TRY(widen_model(*model.imported.graph));
  WeightSelection selection;
  selection.freeze = arguments.freeze;
  selection.running_statistics = arguments.batch_norm == "train";
  Result<WeightReport> weights = weights_to_state(*model.imported.graph, selection);
  if (!weights.ok()) return with_prefix(arguments.model.path + ": ", weights.error());
  model.weights = *std::move(weights);
  TRY(check_frozen(model.weights, arguments));
  if (!arguments.lora.empty()) TRY(use_low_rank(model, arguments));
  TRY(check_trained(model.weights, arguments));
  if (arguments.backend == "reference") return model;
  PassContext context(arguments.compile.target);
  TRY(run_passes(*model.imported.graph, find_pipeline("before_gradient"), context));
  return model;
}

Result<TrainingEngine> make_engine(const TuneModel& model, TrainStep step, const TrainStepOptions& options,
                                   const TuneArguments& arguments, MemoryAim* memory) {
  const Limits limits = TRY(limits_of(arguments.model));
  EngineGraphs graphs;
  if (!options.dropout.empty()) graphs.seed_input = model.graph().inputs().size();
  std::unique_ptr<Graph> evaluation = TRY(build_evaluation(model.graph(), options, step));
  const std::string_view pipeline = memory ? "training_in_memory" : "training";
  graphs.step = TRY(make_runner(std::move(step.graph), pipeline, arguments, limits, memory));
  if (step.apply) graphs.apply = TRY(make_runner(std::move(step.apply), "training", arguments, limits));
  graphs.evaluation = TRY(make_runner(std::move(evaluation), "training", arguments, limits));
  graphs.averages = arguments.weak.export_weights == "teacher";
  return TrainingEngine(std::move(graphs));
}

Status export_weights(const TuneModel& model, const NamedTensors& weights, const std::string& path,
                      const Limits& limits) {
  auto stored = [&](const std::string& name, Tensor value) -> Result<Tensor> {
    const auto codes = std::ranges::find(model.weights.quantized, name, &QuantizedWeight::state);
    return codes == model.weights.quantized.end() ? Result<Tensor>(std::move(value))
                                                  : quantize_again(*codes, value);
  };
  std::vector<TensorPatch> patches;
  for (const State& state : model.graph().states) {
    if (state.origin)
      patches.push_back({state.origin->offset, TRY(stored(state.name, weight_named(weights, state.name)))});
  }
  for (const LowRankWeight& weight : model.low_rank) {
    CHECK(weight.origin, "weight '{}' is of no file", weight.name);
    patches.push_back({weight.origin->offset,
                       TRY(stored(weight.name, merge_low_rank(weight, weight_named(weights, weight.down),
                                                              weight_named(weights, weight.up))))});
  }
  return write_patched_model(*model.imported.source, patches, path, limits);
}

Status add_metadata(const std::string& path, const Metadata& entries, const Limits& limits) {
  ImportOptions options;
  options.limits = limits;
  const ImportedModel model = TRY(import_model(path, options));
  return write_patched_model(*TRY(with_metadata(*model.source, entries, limits)), {}, path, limits);
}

}  // namespace gannet
