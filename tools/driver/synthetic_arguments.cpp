#include "tools/driver/synthetic_arguments.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>

#include "runtime/training/checkpoint.h"
#include "tools/deploy/arguments.h"

namespace gannet {

namespace {

std::optional<double> number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// The class named before an '=' of the text, which goes; nothing where what stands there is none.
std::optional<int64_t> take_class(std::string& text, const std::vector<std::string>& classes) {
  for (size_t at = text.find('='); at != std::string::npos; at = text.find('=', at + 1)) {
    const auto found = std::ranges::find(classes, text.substr(0, at));
    if (found == classes.end()) continue;
    text.erase(0, at + 1);
    return found - classes.begin();
  }
  return std::nullopt;
}

std::string names_of(const std::vector<std::string>& classes) {
  constexpr size_t kShown = 12;
  const std::span<const std::string> shown(classes.data(), std::min(classes.size(), kShown));
  return fmt::format("{}{}", fmt::join(shown, ", "), classes.size() > kShown ? ", ..." : "");
}

Result<SyntheticSpec> parse_spec(const std::string& text, const std::vector<std::string>& classes,
                                 std::optional<double> usual_share) {
  SyntheticSpec spec;
  spec.path = text;
  std::optional<double> share;
  if (const size_t colon = text.rfind(':'); colon != std::string::npos)
    share = number(std::string_view(text).substr(colon + 1));
  if (share) spec.path.erase(text.rfind(':'));
  if (!share) share = usual_share;
  if (!share)
    return invalid_input(
        fmt::format("--synthetic takes [CLASS=]GENERATOR.onnx:SHARE, such as g.onnx:0.3, got '{}'", text));
  spec.share = *share;
  spec.only = take_class(spec.path, classes);
  std::error_code error;
  const size_t equals = spec.path.find('=');
  if (!spec.only && equals != std::string::npos && !std::filesystem::exists(spec.path, error))
    return invalid_input(fmt::format("--synthetic {}: '{}' is no class of the data; there are {}", text,
                                     spec.path.substr(0, equals), names_of(classes)));
  return spec;
}

}  // namespace

void add_synthetic_arguments(CLI::App& command, SyntheticArguments& a) {
  const std::vector<CLI::Option*> before = command.get_options(nullptr);
  add_generator_flags(command, a.generator, kMoreFlags);
  for (CLI::Option* option : command.get_options(nullptr)) {
    if (std::ranges::find(before, option) == before.end()) option->group(kMoreFlags);
  }
  command
      .add_option("--synthetic", a.generators,
                  "mix a generator's pictures into each epoch, SHARE of its rows: of the class that its "
                  "input takes, or all of "
                  "CLASS (repeatable)")
      ->type_name("[CLASS=]G.onnx:SHARE")
      ->take_all()
      ->expected(1)
      ->allow_extra_args(false)
      ->group("Pictures");
  command
      .add_option("--synthetic-as", a.use,
                  "unlabelled: without their classes, among the rows of --unlabeled or in place of them")
      ->capture_default_str()
      ->check(CLI::IsMember({"labelled", "unlabelled"}))
      ->group(kMoreFlags);
}

Status check_synthetic_flags(const SyntheticArguments& arguments, const std::set<std::string>& own,
                             const std::set<std::string>& given) {
  if (arguments.used()) return {};
  for (const std::string& flag : given) {
    if (own.contains(flag)) return invalid_input(fmt::format("{} needs --synthetic, a generator", flag));
  }
  return {};
}

Result<std::vector<SyntheticSpec>> synthetic_specs(const SyntheticArguments& arguments,
                                                   const std::vector<std::string>& classes, bool files) {
  constexpr double kSlack = 1e-9;
  std::vector<SyntheticSpec> specs;
  double sum = 0;
  for (const std::string& text : arguments.generators) {
    std::optional<double> usual;
    if (!files) usual = 1.0 / static_cast<double>(arguments.generators.size());
    SyntheticSpec spec = TRY(parse_spec(text, classes, usual));
    if (!(spec.share > 0) || spec.share > 1 || (files && spec.share >= 1))
      return invalid_input(fmt::format("--synthetic {}: the share is {}, it must be above 0 and {} 1", text,
                                       spec.share, files ? "below" : "at most"));
    sum += spec.share;
    specs.push_back(std::move(spec));
  }
  if (files && sum > 1 - kSlack)
    return invalid_input(fmt::format(
        "--synthetic: the shares add up to {}, and nothing is left for the pictures of files", sum));
  if (!files && std::fabs(sum - 1) > kSlack)
    return invalid_input(
        fmt::format("--synthetic: the shares add up to {}; without --unlabeled all rows without labels are "
                    "synthetic: leave the shares out, or give 1 in all",
                    sum));
  return specs;
}

Result<std::map<std::string, std::string>> deciding_synthetic_flags(const SyntheticArguments& arguments,
                                                                    const std::vector<SyntheticSpec>& specs) {
  if (!arguments.used()) return std::map<std::string, std::string>{{"--synthetic", "not given"}};
  std::string text = arguments.use;
  for (const SyntheticSpec& spec : specs)
    text += fmt::format(", {} of class {} by {}", spec.share, spec.only ? fmt::to_string(*spec.only) : "all",
                        TRY(file_identity(spec.path)));
  const GeneratorArguments& g = arguments.generator;
  return std::map<std::string, std::string>{
      {"--synthetic", text},
      {"--latent, --class-input, --picture-output",
       fmt::format("'{}' '{}' '{}'", g.latent, g.class_input, g.output)},
      {"--distribution and --truncation", fmt::format("{} {}", g.distribution, g.truncation.value_or(-1))},
      {"--output-range, --picture-layout, --picture-bgr",
       fmt::format("'{}' '{}' {}", g.range, g.layout, g.bgr)}};
}

}  // namespace gannet
