// What every subcommand of `gannet` has in common: the flags that say which model and how to read it.
#pragma once

#include <string>
#include <vector>

#include "frontend/import.h"
#include "tools/deploy/arguments.h"

namespace CLI {
class App;
}

namespace gannet {

struct ModelArguments {
  std::string path;
  std::vector<std::string> shapes;  // NAME=1x3x224x224
  std::vector<std::string> limits;  // NAME=VALUE
  bool symbolic_batch = false;
};

// Adds MODEL, --shape, --batch and --limit.
void add_model_arguments(CLI::App& command, ModelArguments& arguments);
Result<Limits> limits_of(const ModelArguments& arguments);
// What the flags ask of the import.
Result<ImportOptions> import_options(const ModelArguments& arguments, bool apply_shapes = true);
// Imports the model as the flags say. With `apply_shapes`, --shape replaces the shapes of inputs; its extents may be
// symbols ("batchx3x224x224").
Result<ImportedModel> load_model(const ModelArguments& arguments, bool apply_shapes = true);
// An error where one of these files, which are to be written ("": none), has tensors of the model.
Status check_not_over_data(const std::vector<std::string>& outputs, const ModelFile& model);
// The same of an ONNX file made of the model, beside which its tensors are written as model files have them.
Status check_new_model(const std::string& output, const ModelFile& model, const std::string& model_path);

}  // namespace gannet
