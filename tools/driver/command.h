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

}  // namespace gannet
