#include "tools/deploy/run_model.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "runtime/data/npy.h"
#include "runtime/data/tensor_statistics.h"
#include "runtime/data/text_lists.h"
#include "tools/deploy/arguments.h"

namespace gannet {

// Probabilities of a row: the row itself when it is a distribution already, else its softmax.
static std::vector<double> probabilities(const Tensor& tensor, int64_t row, int64_t classes) {
  std::vector<double> values;
  double sum = 0, largest = -HUGE_VAL;
  bool distribution = true;
  for (int64_t i = 0; i < classes; ++i) {
    values.push_back(tensor.double_at(row * classes + i));
    sum += values.back();
    largest = std::max(largest, values.back());
    distribution &= values.back() >= 0 && values.back() <= 1.001;
  }
  if (distribution && std::fabs(sum - 1) < 1e-2) return values;
  sum = 0;
  for (double& value : values) sum += value = std::exp(value - largest);
  for (double& value : values) value /= sum;
  return values;
}

// Classes along the last axis; a head may end in [rows, classes, 1, 1].
static Tensor with_classes_last(const Tensor& tensor) {
  std::vector<int64_t> extents = tensor.extents();
  while (extents.size() > 2 && extents.back() == 1) extents.pop_back();
  return tensor.reshaped(extents);
}

static int64_t class_count(const Tensor& tensor) {
  const Tensor flat = with_classes_last(tensor);
  return flat.rank() == 0 ? 1 : flat.extents().back();
}

static void print_top(const Tensor& tensor, const RunArguments& arguments) {
  Tensor flat = with_classes_last(tensor);
  int64_t classes = class_count(tensor);
  int64_t rows = classes == 0 ? 0 : flat.elements() / classes;
  const bool by_model = arguments.label_names.empty() && classes == static_cast<int64_t>(arguments.class_names.size());
  const std::vector<std::string>& labels = by_model ? arguments.class_names : arguments.label_names;
  constexpr int64_t kMostRows = 16;
  for (int64_t row = 0; row < std::min(rows, kMostRows); ++row) {
    std::vector<double> shares = probabilities(flat, row, classes);
    if (rows > 1) fmt::print("  row {}\n", row);
    for (const Ranked& ranked : top_k(flat, row, arguments.top)) {
      bool named = ranked.index < static_cast<int64_t>(labels.size());
      fmt::print("  class {}{}{}  {:.4f}\n", ranked.index, named ? " " : "", named ? printable(labels[static_cast<size_t>(ranked.index)]) : "",
                 shares[static_cast<size_t>(ranked.index)]);
    }
  }
  if (rows > kMostRows) fmt::print("  ({} more rows)\n", rows - kMostRows);
}

static void print_datum(const std::string& name, const Datum& datum) {
  if (!datum.is_tensor()) {
    fmt::print("{}  {}\n", printable(name), to_string(datum.type()));
    if (datum.kind() != Datum::Kind::kSequence) return;
    for (size_t i = 0; i < datum.elements().size(); ++i) print_datum(fmt::format("{}[{}]", name, i), datum.elements()[i]);
    return;
  }
  fmt::print("{}  {}  {}\n", printable(name), type_string(datum.tensor()), to_string(statistics(datum.tensor())));
}

// The output's name with what a file name cannot hold replaced; its number as well where that is not unique.
static std::string file_name(const std::string& output_name, size_t index, const std::string& extension, std::set<std::string>& taken) {
  constexpr size_t kLongest = 200;
  std::string name;
  for (char c : output_name) name += std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.' ? c : '_';
  if (name.empty() || name[0] == '.') name = fmt::format("output_{}", index) + name;
  name.resize(std::min(name.size(), kLongest));
  while (!taken.insert(name).second) name += fmt::format("_output_{}", index);
  return name + "." + extension;
}

Status write_outputs(std::span<const std::string> names, std::span<const Datum> outputs, const RunArguments& arguments, bool quiet) {
  std::error_code failure;
  std::filesystem::create_directories(arguments.output_folder, failure);
  if (failure || !std::filesystem::is_directory(arguments.output_folder)) {
    std::string reason = failure ? failure.message() : "it is a file";
    return io_error(fmt::format("--output {}: the folder cannot be made: {}", arguments.output_folder, reason));
  }
  std::set<std::string> taken;
  for (size_t i = 0; i < outputs.size(); ++i) {
    bool as_npy = arguments.format == "npy" && outputs[i].is_tensor();
    std::string name = arguments.format == "pb" ? fmt::format("output_{}.pb", i)
                                                : file_name(names[i], i, as_npy ? "npy" : "pb", taken);
    std::string path = (std::filesystem::path(arguments.output_folder) / name).string();
    if (!as_npy && !arguments.write_pb) {
      return invalid_input(fmt::format("output '{}' is {}: only gannet writes those", names[i], to_string(outputs[i].type())));
    }
    TRY(as_npy ? write_npy(path, outputs[i].tensor()) : arguments.write_pb(path, outputs[i], names[i]));
    if (!quiet) fmt::print("wrote {}\n", path);
  }
  return {};
}

void add_run_arguments(CLI::App& command, RunArguments& arguments) {
  const std::string formats = fmt::format(".npy, .npz, .npz#array,{} .png, .jpg, raw elements as .bin", arguments.inputs.read_pb ? " .pb," : "");
  command.add_option("--input", arguments.inputs.files, fmt::format("NAME=FILE ({}); random where none is given", formats))
      ->type_name("NAME=FILE")->take_all()->expected(1)->allow_extra_args(false);
  command.add_option("-o,--output", arguments.output_folder, "folder for the outputs")->type_name("DIR");
  if (arguments.write_pb) {
    command.add_option("--format", arguments.format, "of the files in --output")->check(CLI::IsMember({"npy", "pb"}))->capture_default_str();
  }
  add_seed(command, arguments.inputs.seed, "of random inputs and random ops");
  add_threads(command, arguments.threads);
  CLI::Option* top = command.add_option("--top", arguments.top, "print the K most likely classes, or all of fewer")
      ->type_name("K")->check(CLI::Range(1, 1000));
  command.add_option("--labels", arguments.labels, "class names, one a line [those of the model's metadata]")->type_name("FILE")->needs(top);
  add_image_arguments(command, arguments.image, "Pictures as input");
}

Status settle_run_arguments(RunArguments& arguments, const std::vector<std::string>& shapes) {
  arguments.inputs.image = TRY(image_options_of(arguments.image));
  for (auto& [name, shape] : TRY(parse_shapes(shapes))) arguments.inputs.shapes[name] = std::move(shape);
  if (!arguments.labels.empty()) arguments.label_names = TRY(read_lines(arguments.labels));
  return {};
}

Status apply_model_metadata(RunArguments& arguments, const Metadata& metadata) {
  arguments.inputs.image = TRY(image_options_of(arguments.image, metadata));
  arguments.class_names = label_names_of(metadata);
  return {};
}

Result<std::vector<Datum>> announced_inputs(std::span<const InputSpec> specs, const RunArguments& arguments) {
  std::vector<std::string> made_up;
  std::vector<Datum> inputs = TRY(collect_inputs(specs, arguments.inputs, made_up));
  for (size_t i = 0; i < inputs.size(); ++i) {
    const bool random = std::ranges::find(made_up, specs[i].name) != made_up.end();
    fmt::print("input {}  {}{}\n", printable(specs[i].name), to_string(inputs[i].type()),
               random ? fmt::format("  random, seed {}", arguments.inputs.seed) : "");
  }
  return inputs;
}

static bool is_ranked(const Datum& output, const RunArguments& arguments) {
  return arguments.top > 0 && output.is_tensor() && is_float(output.tensor().dtype());
}

// The names of --labels are those of one output at least.
static Status check_label_names(std::span<const std::string> names, std::span<const Datum> outputs, const RunArguments& arguments) {
  if (arguments.labels.empty()) return {};
  const auto count = static_cast<int64_t>(arguments.label_names.size());
  std::string few;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!is_ranked(outputs[i], arguments)) continue;
    const int64_t classes = class_count(outputs[i].tensor());
    if (classes <= count) return {};
    if (few.empty()) few = fmt::format("{}: {} names, output '{}' has {} classes", arguments.labels, count, names[i], classes);
  }
  return few.empty() ? Status() : Status(invalid_input(few));
}

Status report_outputs(std::span<const std::string> names, std::span<const Datum> outputs, const RunArguments& arguments) {
  const Status named = check_label_names(names, outputs, arguments);
  for (size_t i = 0; named.ok() && i < outputs.size(); ++i) {
    print_datum(names[i], outputs[i]);
    if (is_ranked(outputs[i], arguments)) print_top(outputs[i].tensor(), arguments);
  }
  if (!arguments.output_folder.empty()) TRY(write_outputs(names, outputs, arguments));
  return named;
}

}  // namespace gannet
