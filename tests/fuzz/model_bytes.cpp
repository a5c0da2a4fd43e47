// Any bytes as a model: reading ends in a message or in a graph that verifies, prints and runs, within the limits.
#include <cstddef>
#include <cstdint>
#include <string>

#include "frontend/import.h"
#include "ir/evaluate.h"
#include "ir/print.h"
#include "ir/verify.h"

namespace {

gannet::Limits small_limits() {
  gannet::Limits limits;
  limits.nodes = 2000;
  limits.tensor_bytes = 1 << 20;
  limits.live_bytes = 1 << 24;
  limits.elements = 1 << 18;
  limits.nesting = 8;
  limits.loop_trips = 64;
  return limits;
}

// Zeros for every input whose type is known well enough.
void run_on_zeros(const gannet::Graph& graph) {
  gannet::EvaluateOptions options;
  options.limits = small_limits();
  gannet::SymbolValues symbols;
  std::vector<gannet::Datum> inputs;
  for (const gannet::Value* input : graph.inputs()) {
    if (!input->type.is_tensor() || !input->type.shape) return;
    std::vector<std::string> names;
    for (const gannet::Dim& dim : *input->type.shape) dim.collect_symbols(names);
    for (const std::string& name : names) symbols.try_emplace(name, 2);
    gannet::Result<std::vector<int64_t>> extents = gannet::evaluate(*input->type.shape, symbols);
    if (!extents.ok()) return;
    gannet::Result<gannet::Tensor> tensor = gannet::Tensor::allocate(input->type.dtype, *extents, options.limits);
    if (!tensor.ok()) return;
    inputs.push_back(gannet::Tensor::zeros(tensor->dtype(), tensor->extents()));
  }
  static_cast<void>(gannet::evaluate(graph, std::move(inputs), options).ok());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  gannet::ImportOptions options;
  options.limits = small_limits();
  gannet::Result<gannet::ImportedModel> model =
      gannet::import_model_bytes(std::string(reinterpret_cast<const char*>(data), size), "fuzz.onnx", options);
  if (!model.ok()) return 0;
  gannet::Status verified = gannet::verify(*model->graph);
  CHECK(verified.ok(), "an imported graph does not verify: {}", verified.error().message);
  gannet::print_graph(*model->graph, {.max_elements = 8});
  run_on_zeros(*model->graph);
  return 0;
}
