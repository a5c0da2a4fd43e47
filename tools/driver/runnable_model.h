// A model that is ready to run, whether it comes from an ONNX file or a compiled one.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "ir/base/datum.h"
#include "tools/deploy/label_metadata.h"
#include "tools/deploy/model_inputs.h"
#include "tools/driver/command.h"
#include "tools/driver/input_normalization.h"
#include "tools/driver/model_output.h"

namespace gannet {

struct RunnableModel {
  std::string path;
  std::vector<InputSpec> inputs;
  std::vector<OutputSpec> outputs;
  Metadata metadata;
  std::optional<int64_t> positions = {};   // most tokens of a text, where an ONNX file says so
  std::optional<InputNormalization> normalization = {};  // of the pictures that an ONNX file's one input takes
  std::optional<int64_t> fixed_rows = {};  // of a compiled model that takes no other number of them
  // Inputs in order; errors begin with the path.
  std::function<Result<std::vector<Datum>>(const std::vector<Datum>& inputs)> run;
  std::vector<std::string> notes = {};  // lines that say what was done to the model
};

struct RunnableOptions {
  ModelArguments model;
  std::string backend = "compiled";
  CompileOptions compile;
  int threads = 0;
  // Batch normalizations that were exported in training mode use their running statistics, as a note says.
  bool inference_form = false;
  // Sees the graph of an ONNX file before it is compiled, and may choose its outputs.
  std::function<Status(Graph& graph)> prepare = {};
};

// An ONNX file whose batch is fixed takes any number of rows where it can be made to.
Result<RunnableModel> load_runnable(const RunnableOptions& options);
// An error where the options ask the compiled file at `path` for a dtype, which it has already.
Status check_takes_dtype(const std::string& path, const CompileOptions& options);

}  // namespace gannet
