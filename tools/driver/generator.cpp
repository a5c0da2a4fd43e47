#include "tools/driver/generator.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstring>
#include <memory>

#include "tools/driver/value_range.h"

namespace gannet {

namespace {

// Whether one of the words that `name` consists of is among those given.
bool is_named(const std::string& name, std::initializer_list<std::string_view> words) {
  std::string word;
  for (size_t i = 0; i <= name.size(); ++i) {
    const char letter = i < name.size() ? name[i] : '_';
    if (std::isalpha(static_cast<unsigned char>(letter)) != 0) {
      word += static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
      continue;
    }
    if (std::ranges::find(words, word) != words.end()) return true;
    word.clear();
  }
  return false;
}

bool names_a_class(const std::string& name) {
  return is_named(name, {"class", "classes", "label", "labels", "y", "c", "category", "condition", "cond",
                         "onehot", "target"});
}
bool names_truncation(const std::string& name) { return is_named(name, {"truncation", "trunc", "psi"}); }

// Elements of one row; 0 where they are not known.
int64_t row_elements(const Type& type) {
  if (!type.shape || type.shape->empty()) return 0;
  int64_t count = 1;
  for (size_t axis = 1; axis < type.shape->size(); ++axis) {
    if (!(*type.shape)[axis].is_constant()) return 0;
    count *= (*type.shape)[axis].constant();
  }
  return count;
}

std::string list_of(const std::vector<InputSpec>& inputs) {
  std::string all;
  for (const InputSpec& input : inputs)
    all += fmt::format("{}'{}' {}", all.empty() ? "" : ", ", input.name, to_string(input.type));
  return all.empty() ? "none" : all;
}

// A batch without the rows from `rows` on.
Tensor first_rows(const Tensor& tensor, int64_t rows) {
  std::vector<int64_t> extents = tensor.extents();
  if (extents[0] == rows) return tensor;
  const int64_t bytes = tensor.bytes() / extents[0] * rows;
  extents[0] = rows;
  Tensor result = Tensor::zeros(tensor.dtype(), extents);
  std::memcpy(result.mutable_raw(), tensor.raw(), static_cast<size_t>(bytes));
  return result;
}

Result<Tensor> joined(const std::vector<Tensor>& parts) {
  if (parts.size() == 1) return parts[0];
  std::vector<int64_t> extents = parts[0].extents();
  extents[0] = 0;
  for (const Tensor& part : parts) extents[0] += part.extent(0);
  Tensor result = TRY(Tensor::allocate(parts[0].dtype(), extents));
  auto* out = static_cast<std::byte*>(result.mutable_raw());
  for (const Tensor& part : parts) {
    std::memcpy(out, part.raw(), static_cast<size_t>(part.bytes()));
    out += part.bytes();
  }
  return result;
}

}  // namespace

void add_generator_flags(CLI::App& command, GeneratorArguments& arguments, const char* group) {
  command.add_option("--distribution", arguments.distribution, "of the latents: normal, or uniform in -1..1")
      ->check(CLI::IsMember({"normal", "uniform"}))
      ->capture_default_str();
  command
      .add_option("--truncation", arguments.truncation,
                  "draw latents beyond it again: less variety, more typical")
      ->check(CLI::Range(0.01, 1e6));
  command
      .add_option("--output-range", arguments.range, "values of black and white [told by the model's ending]")
      ->type_name("LOW..HIGH");
  command.add_option("--latent", arguments.latent, "the input of random numbers [by name and shape]")
      ->type_name("NAME")
      ->group(group);
  command.add_option("--class-input", arguments.class_input, "the input of the class [by name and type]")
      ->type_name("NAME")
      ->group(group);
  command
      .add_option("--picture-output", arguments.output, "the output of pictures [the first that can be one]")
      ->type_name("NAME")
      ->group(group);
  command
      .add_option("--picture-layout", arguments.layout,
                  "of the generator's pictures, NCHW or NHWC [by shape]")
      ->check(CLI::IsMember({"NCHW", "NHWC"}))
      ->group(group);
  command.add_flag("--picture-bgr", arguments.bgr, "the generator's channels are blue, green, red")
      ->group(group);
  command.add_option("--generator-batch", arguments.batch_size, "pictures made together")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str()
      ->group(group);
}

Result<Generator> Generator::load(const RunnableOptions& options, const GeneratorArguments& arguments) {
  Generator generator;
  std::vector<std::optional<ValueRange>> ranges;
  RunnableOptions prepared = options;
  prepared.prepare = [&](Graph& graph) -> Status {
    if (options.prepare) TRY(options.prepare(graph));
    for (const GraphOutput& output : graph.outputs) ranges.push_back(find_output_range(*output.value));
    return {};
  };
  generator.model_ = TRY(load_runnable(prepared));
  const RunnableModel& model = generator.model_;
  generator.latents_ = {arguments.distribution == "uniform", arguments.truncation};
  generator.batch_size_ = model.fixed_rows.value_or(arguments.batch_size);
  TRY(generator.find_inputs(arguments));
  const auto output = std::ranges::find_if(model.outputs, [&](const OutputSpec& spec) {
    const bool picture =
        spec.type.is_tensor() && (is_float(spec.type.dtype) || spec.type.dtype == DType::kU8);
    return arguments.output.empty() ? picture : spec.name == arguments.output;
  });
  if (output == model.outputs.end()) {
    return invalid_input(fmt::format("{}: has no output{} that can be a picture", model.path,
                                     arguments.output.empty() ? "" : " '" + arguments.output + "'"));
  }
  generator.output_ = static_cast<size_t>(output - model.outputs.begin());
  if (!arguments.range.empty()) {
    generator.range_ = TRY(parse_value_range(arguments.range, "--output-range"));
    generator.range_source_ = "given";
  } else if (generator.output_ < ranges.size()) {
    generator.range_ = ranges[generator.output_];
  }
  if (output->type.dtype == DType::kU8 && !generator.range_) generator.range_ = ValueRange{0, 255};
  if (!arguments.layout.empty())
    generator.pictures_.layout = arguments.layout == "NHWC" ? ImageLayout::kNhwc : ImageLayout::kNchw;
  if (arguments.bgr) generator.pictures_.order = ChannelOrder::kBgr;
  return generator;
}

Status Generator::find_class(const GeneratorArguments& arguments) {
  const std::vector<InputSpec>& inputs = model_.inputs;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const bool integer = is_int(inputs[i].type.dtype);
    const bool named = arguments.class_input.empty() ? integer || names_a_class(inputs[i].name)
                                                     : inputs[i].name == arguments.class_input;
    if (!named || inputs[i].name == arguments.latent) continue;
    const int64_t width = row_elements(inputs[i].type);
    // One float input, whatever its name, is the latent.
    if (arguments.class_input.empty() && !integer && (inputs.size() == 1 || inputs[i].type.rank() != 2))
      continue;
    if (width < 1 || (integer && width != 1)) {
      return invalid_input(
          fmt::format("{}: input '{}' is {}, a class is an integer or one number for each class", model_.path,
                      inputs[i].name, to_string(inputs[i].type)));
    }
    class_input_ = i;
    const auto named_in_file = static_cast<int64_t>(label_names_of(model_.metadata).size());
    const bool known = inputs[i].index_bound > kUnknownIndexBound;
    classes_ = !integer ? width : known ? inputs[i].index_bound : named_in_file;
    return {};
  }
  if (arguments.class_input.empty()) return {};
  return invalid_input(
      fmt::format("{}: has no input '{}'; it has {}", model_.path, arguments.class_input, list_of(inputs)));
}

Status Generator::find_inputs(const GeneratorArguments& arguments) {
  TRY(find_class(arguments));
  const std::vector<InputSpec>& inputs = model_.inputs;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const InputSpec& input = inputs[i];
    if (class_input_ == i) continue;
    if (!input.type.is_tensor() || !is_float(input.type.dtype))
      return invalid_input(fmt::format("{}: input '{}' is {}, which is neither latent nor class", model_.path,
                                       input.name, to_string(input.type)));
    const bool is_scalar = input.type.rank() == 0 || row_elements(input.type) == 1;
    if (names_truncation(input.name) && is_scalar && input.name != arguments.latent) {
      truncation_input_ = i;
      continue;
    }
    const int64_t elements = row_elements(input.type);
    if (elements < 1 || input.type.rank() < 2) {
      return invalid_input(
          fmt::format("{}: input '{}' is {}; a latent is [rows, ...] with known extents: give --shape {}=...",
                      model_.path, input.name, to_string(input.type), input.name));
    }
    if (elements > kMaxImagePixels)
      return invalid_input(fmt::format("{}: a latent of {} numbers", model_.path, elements));
    latent_inputs_.push_back(i);
    latent_count_ += elements;
  }
  const bool found =
      std::ranges::any_of(latent_inputs_, [&](size_t i) { return inputs[i].name == arguments.latent; });
  if (latent_inputs_.empty() || (!arguments.latent.empty() && !found)) {
    return invalid_input(fmt::format("{}: has no latent{}; its inputs are {}", model_.path,
                                     arguments.latent.empty() ? "" : " '" + arguments.latent + "'",
                                     list_of(inputs)));
  }
  return {};
}

std::string Generator::description() const {
  std::string text;
  for (const size_t i : latent_inputs_)
    text += fmt::format("{}latent '{}' {}", text.empty() ? "" : ", ", model_.inputs[i].name,
                        to_string(model_.inputs[i].type));
  text += latents_.uniform ? " uniform" : " normal";
  if (class_input_) {
    text += fmt::format(", class '{}'", model_.inputs[*class_input_].name);
    if (classes_ > 0) text += fmt::format(" of {}", classes_);
  }
  if (range_) text += fmt::format(", pictures of {} ({})", to_string(*range_), range_source_);
  return text;
}

std::vector<float> Generator::draw(uint64_t seed, int64_t place) const {
  return draw_latent(latent_count_, seed, place, latents_);
}

Result<Tensor> Generator::input_of(size_t index, std::span<const GeneratorRow> rows) const {
  const Type& type = model_.inputs[index].type;
  std::vector<int64_t> extents;
  for (size_t axis = 0; axis < static_cast<size_t>(std::max<int64_t>(type.rank(), 0)); ++axis)
    extents.push_back(axis == 0 ? static_cast<int64_t>(rows.size()) : (*type.shape)[axis].constant());
  if (truncation_input_ == index) {
    // One number for the run, or one for each row.
    if (!extents.empty() && (*type.shape)[0].is_constant(1)) extents[0] = 1;
    Tensor values = Tensor::zeros(DType::kF32, extents);
    std::ranges::fill(values.mutable_data<float>(), static_cast<float>(latents_.truncation.value_or(1)));
    return convert(values, type.dtype);
  }
  Tensor values = TRY(Tensor::allocate(DType::kF32, extents));
  const std::span<float> all = values.mutable_data<float>();
  std::ranges::fill(all, 0.0f);
  const size_t width = all.size() / rows.size();
  size_t first = 0;  // of this input's numbers among those of a row
  for (const size_t i : latent_inputs_) {
    if (i == index) break;
    first += static_cast<size_t>(row_elements(model_.inputs[i].type));
  }
  for (size_t row = 0; row < rows.size(); ++row) {
    if (class_input_ != index) {
      std::copy_n(rows[row].latent.begin() + static_cast<std::ptrdiff_t>(first), width,
                  all.begin() + static_cast<std::ptrdiff_t>(row * width));
    } else if (is_int(type.dtype)) {
      all[row] = static_cast<float>(rows[row].label);
    } else {
      all[row * width + static_cast<size_t>(rows[row].label)] = 1;
    }
  }
  return convert(values, type.dtype);
}

Result<Tensor> Generator::run_batch(std::span<const GeneratorRow> rows) const {
  std::vector<GeneratorRow> whole(rows.begin(), rows.end());
  whole.resize(static_cast<size_t>(batch_size_), rows.back());
  std::vector<Datum> inputs;
  for (size_t i = 0; i < model_.inputs.size(); ++i) inputs.emplace_back(TRY(input_of(i, whole)));
  const std::vector<Datum> outputs = TRY(model_.run(inputs));
  const Datum& output = outputs[output_];
  if (!output.is_tensor() || output.tensor().rank() < 2 || output.tensor().extent(0) != batch_size_) {
    return invalid_input(fmt::format("{}: output '{}' has no row for each of {} latents", model_.path,
                                     model_.outputs[output_].name, batch_size_));
  }
  return first_rows(output.tensor(), static_cast<int64_t>(rows.size()));
}

Status Generator::check_class(int64_t label) const {
  if (!has_classes() || (label >= 0 && (classes_ == 0 || label < classes_))) return {};
  if (classes_ == 0) return invalid_input(fmt::format("{}: class {} of a generator", model_.path, label));
  return invalid_input(
      fmt::format("{}: class {} of a generator with classes 0 to {}", model_.path, label, classes_ - 1));
}

Result<Tensor> Generator::run(std::span<const GeneratorRow> rows) const {
  CHECK(!rows.empty(), "a generator on no rows");
  for (const GeneratorRow& row : rows) TRY(check_class(row.label));
  std::vector<Tensor> parts;
  const auto batch = static_cast<size_t>(batch_size_);
  for (size_t first = 0; first < rows.size(); first += batch) {
    Tensor part = TRY(run_batch(rows.subspan(first, std::min(batch, rows.size() - first))));
    const auto row_shape = [](const Tensor& tensor) { return std::span(tensor.extents()).subspan(1); };
    if (!parts.empty() && !std::ranges::equal(row_shape(part), row_shape(parts[0])))
      return unsupported(fmt::format("{}: pictures of several sizes", model_.path));
    parts.push_back(std::move(part));
  }
  return joined(parts);
}

void Generator::settle_range(double low, double high) {
  range_ = likely_range(low, high);
  model_.notes.push_back(
      fmt::format("values from {:.3g} to {:.3g} are taken as pictures of {}; --output-range says otherwise",
                  low, high, to_string(*range_)));
}

Result<std::vector<Image>> Generator::images(const Tensor& output) {
  if (!range_) {
    const Tensor values = TRY(convert(output, DType::kF32));
    if (values.elements() == 0) return invalid_input(model_.path + ": makes empty pictures");
    const auto [low, high] = std::ranges::minmax(values.data<float>());
    settle_range(static_cast<double>(low), static_cast<double>(high));
  }
  pictures_.range = *range_;
  Result<std::vector<Image>> images = images_of(output, pictures_);
  if (!images.ok())
    return with_prefix(fmt::format("{}: output '{}': ", model_.path, model_.outputs[output_].name),
                       images.error());
  return images;
}

}  // namespace gannet
