#include "tools/driver/run_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <set>

#include "frontend/pb_file.h"
#include "ir/evaluate.h"
#include "runtime/data/npy.h"
#include "runtime/data/tensor_statistics.h"
#include "runtime/data/text_lists.h"
#include "tools/driver/command.h"
#include "tools/driver/model_inputs.h"

namespace gannet {

namespace {

struct RunArguments {
  ModelArguments model;
  InputArguments inputs;
  std::string output_folder;
  std::string format = "npy";
  int64_t top = 0;
  std::string labels;
  std::string resize = "stretch";
  std::string layout;
  std::string size;
  bool bgr = false;
};

void add_image_arguments(CLI::App& command, RunArguments& arguments) {
  ImageOptions& image = arguments.inputs.image;
  const char* group = "Pictures as input";
  command.add_option("--resize", arguments.resize, "stretch, or crop: shorter edge, then the middle")
      ->check(CLI::IsMember({"stretch", "crop"}))->capture_default_str()->group(group);
  command.add_option("--image-size", arguments.size, "HxW where the model leaves it open")->type_name("HxW")->group(group);
  command.add_option("--shortest-edge", image.shortest_edge, "length of the shorter edge before the crop")->group(group);
  command.add_option("--layout", arguments.layout, "NCHW or NHWC; follows from the input's shape")
      ->check(CLI::IsMember({"NCHW", "NHWC"}))->group(group);
  command.add_flag("--bgr", arguments.bgr, "channels in the order blue, green, red")->group(group);
  command.add_option("--scale", image.scale, "factor of the pixels [1/255]")->group(group);
  command.add_option("--mean", image.mean, "subtracted after the scale, one for all or one a channel")->delimiter(',')->group(group);
  command.add_option("--std", image.std, "divided by after the mean")->delimiter(',')->group(group);
}

Status settle_image_arguments(RunArguments& arguments) {
  ImageOptions& image = arguments.inputs.image;
  if (arguments.resize == "crop") image.fit = ImageFit::kCenterCrop;
  if (arguments.bgr) image.order = ChannelOrder::kBgr;
  if (!arguments.layout.empty()) image.layout = arguments.layout == "NHWC" ? ImageLayout::kNhwc : ImageLayout::kNchw;
  if (arguments.size.empty()) return {};
  Shape size = TRY(parse_extents(arguments.size));
  if (size.size() == 1) size.push_back(size[0]);
  if (size.size() != 2 || !is_static(size)) return invalid_input(fmt::format("--image-size takes HxW, got '{}'", arguments.size));
  image.height = size[0].constant();
  image.width = size[1].constant();
  return {};
}

// Probabilities of a row: the row itself when it is a distribution already, else its softmax.
std::vector<double> probabilities(const Tensor& tensor, int64_t row, int64_t classes) {
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

void print_top(const Tensor& tensor, int64_t top, const std::vector<std::string>& labels) {
  std::vector<int64_t> extents = tensor.extents();
  while (extents.size() > 2 && extents.back() == 1) extents.pop_back();
  Tensor flat = tensor.reshaped(extents);
  int64_t classes = flat.rank() == 0 ? 1 : flat.extents().back();
  int64_t rows = classes == 0 ? 0 : flat.elements() / classes;
  constexpr int64_t kMostRows = 16;
  for (int64_t row = 0; row < std::min(rows, kMostRows); ++row) {
    std::vector<double> shares = probabilities(flat, row, classes);
    if (rows > 1) fmt::print("  row {}\n", row);
    for (const Ranked& ranked : top_k(flat, row, top)) {
      bool named = ranked.index < static_cast<int64_t>(labels.size());
      fmt::print("  class {}{}{}  {:.4f}\n", ranked.index, named ? " " : "", named ? labels[static_cast<size_t>(ranked.index)] : "",
                 shares[static_cast<size_t>(ranked.index)]);
    }
  }
  if (rows > kMostRows) fmt::print("  ({} more rows)\n", rows - kMostRows);
}

void print_datum(const std::string& name, const Datum& datum) {
  if (!datum.is_tensor()) {
    fmt::print("{}  {}\n", printable(name), to_string(datum.type()));
    if (datum.kind() != Datum::Kind::kSequence) return;
    for (size_t i = 0; i < datum.elements().size(); ++i) print_datum(fmt::format("{}[{}]", name, i), datum.elements()[i]);
    return;
  }
  fmt::print("{}  {}  {}\n", printable(name), type_string(datum.tensor()), to_string(statistics(datum.tensor())));
}

// The output's name with what a file name cannot hold replaced; its number as well where that is not unique.
std::string file_name(const std::string& output_name, size_t index, const std::string& extension, std::set<std::string>& taken) {
  constexpr size_t kLongest = 200;
  std::string name;
  for (char c : output_name) name += std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.' ? c : '_';
  if (name.empty() || name[0] == '.') name = fmt::format("output_{}", index) + name;
  name.resize(std::min(name.size(), kLongest));
  while (!taken.insert(name).second) name += fmt::format("_output_{}", index);
  return name + "." + extension;
}

Status write_outputs(const Graph& graph, const std::vector<Datum>& outputs, const RunArguments& arguments) {
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
                                                : file_name(graph.outputs[i].name, i, as_npy ? "npy" : "pb", taken);
    std::string path = (std::filesystem::path(arguments.output_folder) / name).string();
    TRY(as_npy ? write_npy(path, outputs[i].tensor()) : write_pb(path, outputs[i], graph.outputs[i].name));
    fmt::print("wrote {}\n", path);
  }
  return {};
}

Status run_model(RunArguments& arguments) {
  TRY(settle_image_arguments(arguments));
  arguments.inputs.limits = TRY(limits_of(arguments.model));
  for (auto& [name, shape] : TRY(parse_shapes(arguments.model.shapes))) arguments.inputs.shapes[name] = std::move(shape);
  std::vector<std::string> labels;
  if (!arguments.labels.empty()) labels = TRY(read_lines(arguments.labels));
  ImportedModel model = TRY(load_model(arguments.model));
  const Graph& graph = *model.graph;
  std::vector<std::string> made_up;
  std::vector<Datum> inputs = TRY(collect_inputs(graph, arguments.inputs, made_up));
  for (size_t i = 0; i < inputs.size(); ++i) {
    bool random = std::find(made_up.begin(), made_up.end(), graph.inputs()[i]->name) != made_up.end();
    fmt::print("input {}  {}{}\n", printable(graph.inputs()[i]->name), to_string(inputs[i].type()),
               random ? fmt::format("  random, seed {}", arguments.inputs.seed) : "");
  }
  EvaluateOptions options;
  options.limits = arguments.inputs.limits;
  options.seed = arguments.inputs.seed;
  Result<EvaluateResult> result = evaluate(graph, std::move(inputs), options);
  if (!result.ok()) return with_prefix(arguments.model.path + ": ", result.error());
  for (size_t i = 0; i < result->outputs.size(); ++i) {
    print_datum(graph.outputs[i].name, result->outputs[i]);
    bool ranks = arguments.top > 0 && result->outputs[i].is_tensor() && is_float(result->outputs[i].tensor().dtype());
    if (ranks) print_top(result->outputs[i].tensor(), arguments.top, labels);
  }
  if (!arguments.output_folder.empty()) TRY(write_outputs(graph, result->outputs, arguments));
  return {};
}

}  // namespace

CLI::App* add_run_command(CLI::App& app, std::function<int()>& run) {
  auto arguments = std::make_shared<RunArguments>();
  CLI::App* command = add_command(app, "run", "Run a model once and print its outputs.",
                                  "gannet run resnet50.onnx --input data=kitten.jpg --top 5", run,
                                  [arguments] { return run_model(*arguments); });
  add_model_arguments(*command, arguments->model);
  command->add_option("--input", arguments->inputs.files,
                      "NAME=FILE (.npy, .npz, .npz#array, .pb, .png, .jpg, raw elements); random where none is given")
      ->type_name("NAME=FILE")->take_all()->expected(1)->allow_extra_args(false);
  command->add_option("--output", arguments->output_folder, "folder for the outputs")->type_name("DIR");
  command->add_option("--format", arguments->format, "of the files in --output")->check(CLI::IsMember({"npy", "pb"}))->capture_default_str();
  add_seed(*command, arguments->inputs.seed, "of random inputs and random ops");
  command->add_option("--top", arguments->top, "print the K most likely classes")->type_name("K")->check(CLI::Range(1, 1000));
  command->add_option("--labels", arguments->labels, "class names, one a line")->type_name("FILE");
  add_image_arguments(*command, *arguments);
  return command;
}

}  // namespace gannet
