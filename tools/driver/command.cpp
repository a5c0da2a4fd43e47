#include "tools/driver/command.h"

#include <CLI/CLI.hpp>

namespace gannet {

void add_model_arguments(CLI::App& command, ModelArguments& arguments) {
  command.add_option("MODEL", arguments.path, "the ONNX file")->required();
  command.add_option("--shape", arguments.shapes, "NAME=1x3x224x224: the shape of an input (repeatable)")
      ->type_name("NAME=SHAPE")->take_all()->expected(1)->allow_extra_args(false);
  command.add_flag("--batch", arguments.symbolic_batch, "make a fixed batch symbolic");
  add_limit_argument(command, arguments.limits);
}

Result<Limits> limits_of(const ModelArguments& arguments) {
  Limits limits = default_limits();
  for (const std::string& assignment : arguments.limits) TRY(set_limit(limits, assignment));
  return limits;
}

Result<ImportOptions> import_options(const ModelArguments& arguments, bool apply_shapes) {
  ImportOptions options;
  options.limits = TRY(limits_of(arguments));
  options.symbolic_batch = arguments.symbolic_batch;
  for (auto& [name, shape] : TRY(parse_shapes(arguments.shapes))) {
    if (apply_shapes) options.input_shapes[name] = std::move(shape);
  }
  return options;
}

Result<ImportedModel> load_model(const ModelArguments& arguments, bool apply_shapes) {
  return import_model(arguments.path, TRY(import_options(arguments, apply_shapes)));
}

}  // namespace gannet
