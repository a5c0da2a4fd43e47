#include "tools/deploy/arguments.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>

namespace gannet {

static std::string escaped(std::string_view text, bool line_ends_too) {
  std::string result;
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    bool control = byte < 0x20 || byte == 0x7F;
    if (control && (c != '\n' || line_ends_too)) result += fmt::format("\\x{:02x}", byte);
    else result += c;
  }
  return result;
}

std::string printable(std::string_view text) { return escaped(text, true); }

int report(const Error& error) {
  std::fflush(stdout);
  std::fputs(fmt::format("error: {}\n", escaped(error.message, false)).c_str(), stderr);
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

namespace {

class TwoLevelFormatter final : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override {
    all_ = mode == CLI::AppFormatMode::All;
    return CLI::Formatter::make_help(app, std::move(name), mode);
  }
  std::string make_group(std::string group, bool is_positional, std::vector<const CLI::Option*> options) const override {
    if (group == kMoreFlags && !all_) return fmt::format("{} more flags: --help-all\n", options.size());
    return CLI::Formatter::make_group(group, is_positional, options);
  }

 private:
  mutable bool all_ = false;  // of the call that is being answered
};

}  // namespace

void add_help_all(CLI::App& command) {
  command.set_help_all_flag("--help-all", "Print this and all other flags and exit");
  command.formatter(std::make_shared<TwoLevelFormatter>());
}

void add_limit_argument(CLI::App& command, std::vector<std::string>& limits) {
  command.add_option("--limit", limits, fmt::format("what a model may ask for (repeatable): {}", describe(default_limits())))
      ->type_name("NAME=VALUE")->take_all()->expected(1)->allow_extra_args(false);
}

Limits default_limits() {
  Limits limits;
  int64_t pages = ::sysconf(_SC_PHYS_PAGES), page = ::sysconf(_SC_PAGESIZE);
  if (pages <= 0 || page <= 0) return limits;
  // One operand and one result of the largest size fit, and whole MiB read better in the help text.
  int64_t memory = pages * page / 8 * 7 >> 20 << 20;
  limits.live_bytes = std::min(limits.live_bytes, memory);
  limits.tensor_bytes = std::min(limits.tensor_bytes, memory / 2);
  return limits;
}

CLI::Option* add_seed(CLI::App& command, uint64_t& seed, const std::string& meaning) {
  CLI::Validator integer(
      [](std::string& text) {
        uint64_t value = 0;
        auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
        bool fits = parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
        return fits ? std::string() : fmt::format("'{}' is not an integer from 0 to {}", text, UINT64_MAX);
      },
      "");
  return command.add_option("--seed", seed, meaning)->capture_default_str()->check(integer);
}

CLI::Option* add_threads(CLI::App& command, int& threads) {
  return command.add_option("--threads", threads, "cores to use [those that this process may use]")->type_name("N")->check(CLI::Range(1, 4096));
}

CLI::Validator number_that(bool (*fits)(double), const char* wanted) {
  return CLI::Validator(
      [fits, wanted](std::string& text) {
        double value = 0;
        const bool is_taken = CLI::detail::lexical_cast(text, value) && std::isfinite(value) && fits(value);
        return is_taken ? std::string() : fmt::format("'{}' is not {}", text, wanted);
      },
      "");
}

CLI::Validator finite_number(bool positive) {
  if (positive) return number_that([](double value) { return value > 0; }, "a finite number above 0");
  return number_that([](double value) { return value >= 0; }, "a finite number of at least 0");
}

CLI::Validator held_out_share() {
  return number_that([](double value) { return value >= 0 && value < 1; }, "a share of at least 0 and below 1");
}

Result<double> parse_number(std::string_view text, std::string_view flag, const std::string& whole) {
  double value = 0;
  if (!CLI::detail::lexical_cast(std::string(text), value) || !std::isfinite(value) || value < 0) {
    return invalid_input(fmt::format("{} {}: '{}' is not a number of at least 0", flag, whole, text));
  }
  return value;
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

Result<std::map<std::string, Shape>> parse_shapes(const std::vector<std::string>& assignments) {
  std::map<std::string, Shape> shapes;
  for (const std::string& assignment : assignments) {
    auto [name, value] = TRY(split_assignment(assignment, "--shape"));
    Result<Shape> shape = parse_extents(value);
    if (!shape.ok()) return with_prefix(fmt::format("--shape {}: ", assignment), shape.error());
    if (!shapes.emplace(name, *std::move(shape)).second) return invalid_input(fmt::format("--shape is given twice for '{}'", name));
  }
  return shapes;
}

Status check_output_path(const std::string& path) {
  std::error_code ignored;
  if (path.empty()) return invalid_input("the name of the file to write is empty");
  const std::filesystem::file_type type = std::filesystem::status(path, ignored).type();
  if (type == std::filesystem::file_type::directory) return io_error(fmt::format("{}: is a folder, not a regular file", path));
  if (type == std::filesystem::file_type::socket) return io_error(fmt::format("{}: is a socket, not a regular file", path));
  // Opening a pipe waits for its reader; that of /dev/stdout is there already.
  if (type == std::filesystem::file_type::fifo && !path.starts_with("/dev/"))
    return io_error(fmt::format("{}: is a pipe, not a regular file", path));
  std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (folder.empty()) folder = ".";
  if (!std::filesystem::is_directory(folder, ignored)) return io_error(fmt::format("{}: cannot be written: there is no folder '{}'", path, folder.string()));
  if (::access(folder.c_str(), W_OK) != 0) {
    return io_error(fmt::format("{}: cannot be written: no permission to write into '{}'", path, folder.string()));
  }
  return {};
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
