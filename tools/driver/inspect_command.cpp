#include "tools/driver/inspect_command.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "ir/print.h"
#include "tools/driver/artifact_summary.h"
#include "tools/driver/command.h"
#include "tools/driver/model_summary.h"

namespace gannet {

namespace {

struct InspectArguments {
  ModelArguments model;
  bool ir = false;
  bool json = false;
};

std::string opset_text(const ModelInfo& info) {
  std::string text;
  for (const OpsetImport& opset : info.opsets) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", opset.domain.empty() ? "ai.onnx" : opset.domain, opset.version);
  }
  return text.empty() ? "none" : text;
}

std::string assumed_text(const ModelSummary& summary) {
  std::string text;
  for (const auto& [symbol, value] : summary.assumed) text += fmt::format("{}{}={}", text.empty() ? "" : ", ", symbol, value);
  return text.empty() ? "" : " at " + text;
}

// Pairs sorted by descending count, then name.
template <class Count>
std::vector<std::pair<std::string, Count>> by_count(const std::map<std::string, Count>& counts) {
  std::vector<std::pair<std::string, Count>> sorted(counts.begin(), counts.end());
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  return sorted;
}

void print_header(const ModelInfo& info) {
  fmt::print("{}\n", info.path);
  fmt::print("  graph      {}\n", info.graph_name);
  fmt::print("  producer   {} {}\n", info.producer_name.empty() ? "not said" : info.producer_name, info.producer_version);
  fmt::print("  IR version {}, opset {}\n", info.ir_version, opset_text(info));
  fmt::print("  file       {}\n", bytes_text(info.file_bytes));
  fmt::print("  nodes      {} in the file, {} after import\n", info.nodes_in_file, info.nodes_imported);
  for (const auto& [key, value] : info.metadata) {
    constexpr size_t kLongest = 100;
    fmt::print("  metadata   {} = {}{}\n", key, value.substr(0, kLongest), value.size() > kLongest ? "..." : "");
  }
}

void print_figures(const ModelSummary& summary) {
  if (!summary.symbols.empty()) fmt::print("symbols\n  {}\n", fmt::join(summary.symbols, ", "));
  if (!summary.bound_at_run_time.empty()) fmt::print("known only while it runs\n  {}\n", fmt::join(summary.bound_at_run_time, ", "));
  fmt::print("parameters\n");
  for (const auto& [dtype, parameters] : summary.parameters) {
    fmt::print("  {:<8} {} in {} tensors, {}\n", dtype, parameters.elements, parameters.tensors, bytes_text(parameters.bytes));
  }
  if (summary.parameters.empty()) fmt::print("  none\n");
  fmt::print("one run{}\n", assumed_text(summary));
  fmt::print("  operations  {}\n", summary.flops ? flops_text(*summary.flops) : "not known: some shapes depend on data");
  if (summary.activation_bytes) {
    fmt::print("  activations {} in all, {} alive at once\n", bytes_text(*summary.activation_bytes), bytes_text(*summary.peak_bytes));
  } else {
    fmt::print("  activations not known: some shapes depend on data\n");
  }
  fmt::print("ops\n");
  for (const auto& [op, count] : by_count(summary.op_counts)) {
    auto flops = summary.flops_by_op.find(op);
    fmt::print("  {:<28} {:>5}  {}\n", op, count, flops == summary.flops_by_op.end() ? "" : flops_text(flops->second));
  }
}

void print_text(const ImportedModel& model, const ModelSummary& summary) {
  print_header(model.info);
  fmt::print("inputs\n");
  for (const Value* input : model.graph->inputs()) fmt::print("  {}  {}\n", input->name, to_string(input->type));
  fmt::print("outputs\n");
  for (const GraphOutput& output : model.graph->outputs) fmt::print("  {}  {}\n", output.name, to_string(output.value->type));
  print_figures(summary);
  if (!model.info.notes.empty()) fmt::print("notes\n");
  for (const std::string& note : model.info.notes) fmt::print("  {}\n", note);
}

nlohmann::json to_json(const ImportedModel& model, const ModelSummary& summary) {
  nlohmann::json json;
  const ModelInfo& info = model.info;
  json["path"] = info.path;
  json["graph"] = info.graph_name;
  json["producer"] = {{"name", info.producer_name}, {"version", info.producer_version}};
  json["ir_version"] = info.ir_version;
  for (const OpsetImport& opset : info.opsets) json["opsets"][opset.domain.empty() ? "ai.onnx" : opset.domain] = opset.version;
  json["file_bytes"] = info.file_bytes;
  json["nodes"] = {{"file", info.nodes_in_file}, {"imported", info.nodes_imported}};
  for (const auto& [key, value] : info.metadata) json["metadata"][key] = value;
  json["inputs"] = nlohmann::json::array();
  for (const Value* input : model.graph->inputs()) json["inputs"].push_back({{"name", input->name}, {"type", to_string(input->type)}});
  json["outputs"] = nlohmann::json::array();
  for (const GraphOutput& output : model.graph->outputs) {
    json["outputs"].push_back({{"name", output.name}, {"type", to_string(output.value->type)}});
  }
  json["symbols"] = summary.symbols;
  json["data_dependent_symbols"] = summary.bound_at_run_time;
  json["ops"] = summary.op_counts;
  json["parameters"] = nlohmann::json::object();
  for (const auto& [dtype, parameters] : summary.parameters) {
    json["parameters"][dtype] = {{"tensors", parameters.tensors}, {"elements", parameters.elements}, {"bytes", parameters.bytes}};
  }
  json["extents"] = summary.assumed;
  json["flops"] = summary.flops ? nlohmann::json(*summary.flops) : nlohmann::json();
  json["flops_by_op"] = summary.flops_by_op;
  json["activation_bytes"] = summary.activation_bytes ? nlohmann::json(*summary.activation_bytes) : nlohmann::json();
  json["peak_activation_bytes"] = summary.peak_bytes ? nlohmann::json(*summary.peak_bytes) : nlohmann::json();
  json["notes"] = info.notes;
  return json;
}

Status inspect_artifact(const InspectArguments& arguments) {
  const Artifact artifact = TRY(read_whole_artifact(arguments.model.path));
  if (arguments.ir) return invalid_input(arguments.model.path + ": is compiled already; --ir takes the ONNX file");
  if (arguments.json) fmt::print("{}\n", artifact_json(artifact).dump(1, ' ', false, nlohmann::json::error_handler_t::replace));
  else fmt::print("{}\n{}{}{}", arguments.model.path, signature_text(*artifact.programs.front().program), programs_text(artifact), training_text(artifact));
  return {};
}

Status inspect(const InspectArguments& arguments) {
  if (is_artifact(arguments.model.path)) return inspect_artifact(arguments);
  ImportedModel model = TRY(load_model(arguments.model));
  if (arguments.ir) {
    constexpr int64_t kShown = 16;
    fmt::print("{}\n", print_graph(*model.graph, {.max_elements = kShown}));
    return {};
  }
  ModelSummary summary = summarize(*model.graph);
  if (arguments.json) {
    fmt::print("{}\n", to_json(model, summary).dump(1, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    print_text(model, summary);
  }
  return {};
}

}  // namespace

CLI::App* add_inspect_command(CLI::App& app, std::function<int()>& run) {
  auto arguments = std::make_shared<InspectArguments>();
  CLI::App* command = add_command(app, "inspect", "Show what a model, or a compiled file, is made of.",
                                  "gannet inspect bert.onnx --shape input_ids=1x128", run,
                                  [arguments] { return inspect(*arguments); });
  add_model_arguments(*command, arguments->model);
  command->add_flag("--ir", arguments->ir, "print the graph as Gannet reads it");
  command->add_flag("--json", arguments->json, "print JSON");
  return command;
}

}  // namespace gannet
