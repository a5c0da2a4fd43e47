#include "tools/deploy/model_inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "ir/base/nearest.h"
#include "ir/base/random.h"
#include "runtime/data/input_file.h"
#include "runtime/data/npy.h"

namespace gannet {

namespace {

Error unknown_input(std::span<const InputSpec> specs, const std::string& name) {
  std::vector<std::string_view> names;
  std::string all;
  for (const InputSpec& input : specs) {
    names.push_back(input.name);
    all += fmt::format("{}'{}'", all.empty() ? "" : ", ", input.name);
  }
  std::string hint = nearest(name, names);
  return invalid_input(fmt::format("the model has no input '{}'{}; it has {}", name,
                                   hint.empty() ? "" : fmt::format(" (did you mean '{}'?)", hint), all.empty() ? "none" : all));
}

Result<size_t> index_of_input(std::span<const InputSpec> specs, const std::string& name) {
  for (size_t i = 0; i < specs.size(); ++i) {
    if (specs[i].name == name) return i;
  }
  return unknown_input(specs, name);
}

int64_t default_extent(const Shape& shape, size_t axis) {
  if (axis == 0) return 1;
  constexpr int64_t kPicture = 224, kElsewhere = 16;
  bool is_picture = shape.size() == 4 && (shape[1].is_constant() || shape[3].is_constant());
  return is_picture ? kPicture : kElsewhere;
}

Result<std::vector<int64_t>> choose_extents(const InputSpec& input, SymbolValues& symbols, const InputArguments& arguments) {
  std::vector<int64_t> extents;
  if (!input.type.shape) {
    auto given = arguments.shapes.find(input.name);
    if (given != arguments.shapes.end() && is_static(given->second)) return static_extents(given->second);
    return invalid_input(fmt::format("input '{}' has no known rank: give --shape {}=...", input.name, input.name));
  }
  const Shape& shape = *input.type.shape;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (std::optional<std::string> symbol = shape[axis].symbol_name()) symbols.try_emplace(*symbol, default_extent(shape, axis));
    Result<int64_t> extent = shape[axis].evaluate(symbols);
    if (!extent.ok()) return invalid_input(fmt::format("input '{}': {}", input.name, extent.error().message));
    extents.push_back(*extent);
  }
  return extents;
}

Result<Datum> random_input(const InputSpec& input, size_t index, SymbolValues& symbols, const InputArguments& arguments) {
  if (!input.type.is_tensor()) {
    return invalid_input(fmt::format("input '{}' is {}: give --input {}=FILE.pb", input.name, to_string(input.type), input.name));
  }
  std::vector<int64_t> extents = TRY(choose_extents(input, symbols, arguments));
  Result<Tensor> allocated = Tensor::allocate(input.type.dtype, extents, arguments.limits);
  if (!allocated.ok()) return with_prefix(fmt::format("input '{}': ", input.name), allocated.error());
  Tensor tensor = *std::move(allocated);
  Random random(arguments.seed, index);
  int64_t bound = is_int(input.type.dtype) ? std::min<int64_t>(input.index_bound, 100) : 2;
  visit_dtype(input.type.dtype, [&]<class T>(Tag<T>) {
    for (T& element : tensor.mutable_data<T>()) {
      if constexpr (std::is_same_v<T, std::string>) element = fmt::format("text {}", random.below(100));
      else if constexpr (std::is_same_v<T, bool>) element = random.below(2) == 1;
      else if constexpr (requires { element.real(); }) {
        double real = random.normal(), imaginary = random.normal();
        using Part = decltype(T().real());
        element = T(static_cast<Part>(real), static_cast<Part>(imaginary));
      } else if constexpr (std::is_integral_v<T>) element = static_cast<T>(random.below(static_cast<uint64_t>(bound)));
      else if constexpr (requires { element.value; }) element = T(static_cast<int64_t>(random.below(2)));
      else element = T(static_cast<float>(random.normal()));
    }
  });
  return Datum(std::move(tensor));
}

// What a file must hold: integers where known, -1 where the model leaves it open.
std::optional<std::vector<int64_t>> wanted_extents(const InputSpec& input, const InputArguments& arguments) {
  auto given = arguments.shapes.find(input.name);
  const Shape* shape = given != arguments.shapes.end() ? &given->second : (input.type.shape ? &*input.type.shape : nullptr);
  if (shape == nullptr) return std::nullopt;
  std::vector<int64_t> extents;
  for (const Dim& dim : *shape) extents.push_back(dim.is_constant() ? dim.constant() : -1);
  return extents;
}

Result<Datum> read_file(const InputSpec& input, const std::string& path, const InputArguments& arguments) {
  Result<Datum> datum = [&]() -> Result<Datum> {
    if (std::filesystem::path(path).extension() == ".pb") {
      if (!arguments.read_pb) return invalid_input(fmt::format("{}: .pb files are read by gannet only", path));
      return arguments.read_pb(path, input.type, arguments.limits);
    }
    if (!input.type.is_tensor()) return invalid_input(fmt::format("{}: a {} is read from a .pb file", path, to_string(input.type)));
    InputOptions options;
    options.image = arguments.image;
    options.limits = arguments.limits;
    return Datum(TRY(read_input(path, input.type.dtype, wanted_extents(input, arguments), options)));
  }();
  if (!datum.ok()) return with_prefix(fmt::format("input '{}': ", input.name), datum.error());
  return datum;
}

// An archive without a name fills every input that it has an array for.
Status read_archive(std::span<const InputSpec> specs, const std::string& path, const InputArguments& arguments, std::vector<Datum>& data) {
  NamedTensors tensors = TRY(read_npz(path, arguments.limits));
  bool any = false;
  for (auto& [name, tensor] : tensors) {
    for (size_t i = 0; i < specs.size(); ++i) {
      if (specs[i].name != name) continue;
      data[i] = Datum(std::move(tensor));
      any = true;
      break;
    }
  }
  if (!any) return invalid_input(fmt::format("{}: none of its {} arrays is named as an input of the model", path, tensors.size()));
  return {};
}

}  // namespace

Result<std::vector<Datum>> collect_inputs(std::span<const InputSpec> specs, const InputArguments& arguments,
                                          std::vector<std::string>& made_up) {
  std::vector<Datum> data(specs.size());
  for (const std::string& argument : arguments.files) {
    size_t equals = argument.find('=');
    bool named = equals != std::string::npos && equals > 0 && !std::filesystem::exists(argument);
    if (!named && std::filesystem::path(argument).extension() == ".npz") {
      TRY(read_archive(specs, argument, arguments, data));
      continue;
    }
    if (!named && specs.size() != 1) {
      return invalid_input(fmt::format("--input takes NAME=FILE for a model of {} inputs, got '{}'", specs.size(), argument));
    }
    size_t index = named ? TRY(index_of_input(specs, argument.substr(0, equals))) : 0;
    data[index] = TRY(read_file(specs[index], named ? argument.substr(equals + 1) : argument, arguments));
  }
  SymbolValues symbols;
  for (size_t i = 0; i < data.size(); ++i) {
    const InputSpec& input = specs[i];
    if (!data[i].is_tensor() || !input.type.shape) continue;
    const std::vector<int64_t>& extents = data[i].tensor().extents();
    for (size_t axis = 0; axis < std::min(extents.size(), input.type.shape->size()); ++axis) {
      if (std::optional<std::string> symbol = (*input.type.shape)[axis].symbol_name()) symbols.try_emplace(*symbol, extents[axis]);
    }
  }
  for (const auto& [name, shape] : arguments.shapes) {
    const InputSpec& input = specs[TRY(index_of_input(specs, name))];
    for (size_t axis = 0; input.type.shape && axis < std::min(shape.size(), input.type.shape->size()); ++axis) {
      const std::optional<std::string> symbol = (*input.type.shape)[axis].symbol_name();
      if (symbol && shape[axis].is_constant()) symbols.try_emplace(*symbol, shape[axis].constant());
    }
  }
  for (size_t i = 0; i < data.size(); ++i) {
    if (data[i].present()) continue;
    data[i] = TRY(random_input(specs[i], i, symbols, arguments));
    made_up.push_back(specs[i].name);
  }
  return data;
}

}  // namespace gannet
