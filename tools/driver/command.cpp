#include "tools/driver/command.h"

#include <CLI/CLI.hpp>

#include <filesystem>

#include "frontend/patch.h"
#include "tools/deploy/output_path.h"

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

Status check_not_over_data(const std::vector<std::string>& outputs, const ModelFile& model) {
  for (const std::string& file : data_files(model)) {
    for (const std::string& output : outputs) TRY(check_not_over(output, file));
  }
  return {};
}

Status check_new_model(const std::string& output, const ModelFile& model, const std::string& model_path) {
  TRY(check_not_over_data({output}, model));
  std::error_code absent;
  // The model itself may be replaced, with its data.
  if (std::filesystem::equivalent(output, model_path, absent)) return {};
  return check_not_over_data({data_path_of(output)}, model);
}

}  // namespace gannet
