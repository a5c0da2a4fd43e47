#include "tools/driver/command.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cstdio>

namespace gannet {

int report(const Error& error) {
  std::fflush(stdout);
  fmt::print(stderr, "error: {}\n", error.message);
  return kFailure;
}

CLI::App* add_command(CLI::App& app, const std::string& name, const std::string& description, const std::string& example,
                      std::function<int()>& run, std::function<Status()> body) {
  CLI::App* command = app.add_subcommand(name, description);
  command->footer("Example:\n  " + example);
  command->callback([&run, body = std::move(body)] {
    run = [body] {
      Status status = body();
      return status.ok() ? kSuccess : report(status.error());
    };
  });
  return command;
}

void add_model_arguments(CLI::App& command, ModelArguments& arguments) {
  command.add_option("MODEL", arguments.path, "the ONNX file")->required();
  command.add_option("--shape", arguments.shapes, "NAME=1x3x224x224: the shape of an input (repeatable)")
      ->type_name("NAME=SHAPE")->take_all()->expected(1)->allow_extra_args(false);
  command.add_flag("--batch", arguments.symbolic_batch, "make a fixed batch symbolic");
  command.add_option("--limit", arguments.limits, fmt::format("what a model may ask for: {}", describe(Limits{})))
      ->type_name("NAME=VALUE")->take_all()->expected(1)->allow_extra_args(false);
}

Result<std::pair<std::string, std::string>> split_assignment(const std::string& text, std::string_view flag) {
  size_t at = text.find('=');
  if (at == std::string::npos || at == 0) return invalid_input(fmt::format("{} takes NAME=VALUE, got '{}'", flag, text));
  return std::pair(text.substr(0, at), text.substr(at + 1));
}

static Result<Dim> parse_extent(std::string_view text) {
  int64_t value = 0;
  auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (!text.empty() && parsed.ec == std::errc() && parsed.ptr == text.data() + text.size() && value >= 0) return Dim(value);
  bool is_name = !text.empty() && !std::isdigit(static_cast<unsigned char>(text[0]));
  for (char c : text) is_name &= std::isalnum(static_cast<unsigned char>(c)) || c == '_';
  if (!is_name) return invalid_input(fmt::format("'{}' is neither an extent nor a symbol", text));
  return Dim::symbol(std::string(text));
}

Result<Shape> parse_extents(const std::string& text) {
  char separator = text.find(',') != std::string::npos ? ',' : 'x';
  Shape shape;
  if (text.empty()) return shape;
  for (size_t at = 0; at <= text.size();) {
    size_t end = text.find(separator, at);
    if (end == std::string::npos) end = text.size();
    shape.push_back(TRY(parse_extent(std::string_view(text).substr(at, end - at))));
    at = end + 1;
  }
  return shape;
}

Result<Limits> limits_of(const ModelArguments& arguments) {
  Limits limits;
  for (const std::string& assignment : arguments.limits) TRY(set_limit(limits, assignment));
  return limits;
}

Result<ImportedModel> load_model(const ModelArguments& arguments, bool apply_shapes) {
  ImportOptions options;
  options.limits = TRY(limits_of(arguments));
  options.symbolic_batch = arguments.symbolic_batch;
  for (const std::string& assignment : arguments.shapes) {
    auto [name, value] = TRY(split_assignment(assignment, "--shape"));
    Shape shape = TRY(parse_extents(value));
    if (apply_shapes) options.input_shapes[name] = std::move(shape);
  }
  return import_model(arguments.path, options);
}

static std::string scaled(double value, double step, std::span<const std::string_view> units) {
  size_t unit = 0;
  while (value >= step && unit + 1 < units.size()) value /= step, ++unit;
  return unit == 0 ? fmt::format("{:.0f} {}", value, units[0]) : fmt::format("{:.3g} {}", value, units[unit]);
}

std::string bytes_text(int64_t bytes) {
  constexpr std::array<std::string_view, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  return scaled(static_cast<double>(bytes), 1024, kUnits);
}

std::string flops_text(double flops) {
  constexpr std::array<std::string_view, 5> kUnits = {"FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP"};
  return scaled(flops, 1000, kUnits);
}

}  // namespace gannet
