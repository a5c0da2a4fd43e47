#include "tools/driver/training_flags.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "tools/driver/row_flags.h"
#include "tools/driver/step_flags.h"

namespace gannet {

namespace {

// "[10; texts 3]" is for `gannet tune`, which knows what the rows are: "[10]".
std::string without_tasks(std::string text) {
  const size_t open = text.rfind('['), semicolon = text.find("; ", std::min(open, text.size())), close = text.rfind(']');
  if (open != std::string::npos && semicolon != std::string::npos && close != std::string::npos && semicolon < close)
    text.erase(semicolon, close - semicolon);
  return text;
}

void add_step_flags(CLI::App& command, TuneArguments& arguments) {
  add_main_step_flags(command, arguments);
  add_more_step_flags(command, arguments);
  command.add_flag("--soft-labels", arguments.loss_options.soft_labels, "targets are a probability of each class in place of class numbers");
  add_seed(command, arguments.seed, "of a new head");
}

}  // namespace

void add_training_flags(CLI::App& command, TrainingFlags& flags) {
  CLI::Option* train = command.add_flag("--train", flags.wanted, "so that gannet-run --tune can train it; --help-all has the flags for that");
  const std::vector<CLI::Option*> before = command.get_options(nullptr);
  collect_flags(command, flags.step_names, [&] { add_step_flags(command, flags.arguments); });
  command.add_option("--write-model", flags.model_file, "the ONNX file that has the new head, for gannet apply-weights and refit")
      ->type_name("FILE.onnx");
  command.get_option("--loss")->description("[cross-entropy for several classes, else mse]");
  for (CLI::Option* option : command.get_options(nullptr)) {
    if (std::ranges::find(before, option) != before.end()) continue;
    option->description(without_tasks(option->get_description()))->group(kMoreFlags)->needs(train);
  }
  add_help_all(command);
}

std::vector<std::string> given_step_flags(const CLI::App& command, const TrainingFlags& flags) {
  std::vector<std::string> given;
  for (const CLI::Option* option : command.get_options([](const CLI::Option*) { return true; })) {
    if (option->count() == 0 || !flags.step_names.contains(option->get_name())) continue;
    const bool takes_value = option->get_items_expected_max() > 0;
    for (const std::string& value : option->results()) given.push_back(takes_value ? option->get_name() + "=" + value : option->get_name());
  }
  return given;
}

std::vector<std::string> flags_behind_head(const std::vector<std::string>& given, const std::string& features) {
  constexpr std::array<std::string_view, 6> kOfHead = {"--new-head=", "--head-layer=", "--add-head=", "--features=", "--pooling=", "--seed="};
  constexpr std::string_view kDropout = "--head-dropout=";
  std::vector<std::string> kept;
  std::string dropout;
  for (const std::string& flag : given) {
    if (flag.starts_with(kDropout)) dropout = "--dropout=" + features + "=" + flag.substr(kDropout.size());
    else if (std::ranges::none_of(kOfHead, [&](std::string_view name) { return flag.starts_with(name); })) kept.push_back(flag);
  }
  // The first rule that matches counts, and the head's is the last.
  if (!dropout.empty()) kept.push_back(dropout);
  return kept;
}

Result<TuneArguments> parse_step_flags(const std::vector<std::string>& given) {
  TuneArguments arguments;
  CLI::App command;
  add_step_flags(command, arguments);
  try {
    command.parse(std::vector<std::string>(given.rbegin(), given.rend()));
  } catch (const CLI::ParseError& error) {
    return invalid_input(fmt::format("the flags that it was compiled with cannot be read: {}", error.what()));
  }
  collect_given(command, arguments.given);
  return arguments;
}

}  // namespace gannet
