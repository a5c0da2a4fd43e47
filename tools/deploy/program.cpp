#include "tools/deploy/program.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <new>
#include <string_view>
#include <system_error>

#include "ir/base/nearest.h"
#include "tools/deploy/arguments.h"

namespace gannet {

namespace {

// The innermost subcommand that the command line has reached.
const CLI::App& innermost(const CLI::App& app) {
  std::vector<CLI::App*> chosen = const_cast<CLI::App&>(app).get_subcommands();
  return chosen.empty() ? app : innermost(*chosen.back());
}

// "gannet new mlp": what to type to reach a subcommand.
std::string words_to(const CLI::App& command) {
  const CLI::App* parent = const_cast<CLI::App&>(command).get_parent();
  return parent ? words_to(*parent) + " " + command.get_name() : command.get_name();
}

std::vector<std::string> known_words(const CLI::App& command, bool flags) {
  std::vector<std::string> words;
  if (flags) {
    for (const CLI::Option* option : command.get_options()) {
      for (const std::string& name : option->get_lnames()) words.push_back("--" + name);
    }
  } else {
    for (const CLI::App* child : command.get_subcommands({})) words.push_back(child->get_name());
  }
  return words;
}

// What CLI11 could not place, with the nearest word that it could have.
std::string unknown_argument(const CLI::App& app) {
  const CLI::App& command = innermost(app);
  std::vector<std::string> extras = app.remaining(true);
  auto first_flag = std::find_if(extras.begin(), extras.end(), [](const std::string& extra) { return extra.rfind('-', 0) == 0; });
  std::string word = first_flag != extras.end() ? *first_flag : extras.empty() ? "" : extras[0];
  std::string name = word.substr(0, word.find('='));
  bool flag = name.rfind('-', 0) == 0;
  std::vector<std::string> words = known_words(command, flag);
  std::vector<std::string_view> views(words.begin(), words.end());
  std::string hint = nearest(name, views);
  std::string where = words_to(command);
  return fmt::format("{}: unknown {} '{}'{}", where, flag ? "flag" : "argument", word,
                     hint.empty() ? fmt::format("; see {} --help", where) : fmt::format("; did you mean {}?", hint));
}

int explain(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) return app.exit(error);
  const CLI::App& command = innermost(app);
  std::string where = words_to(command);
  auto is = [&](CLI::ExitCodes code) { return error.get_exit_code() == static_cast<int>(code); };
  bool no_command = !command.get_subcommands({}).empty() && is(CLI::ExitCodes::RequiredError);
  // A word that is not known explains why another one seems to be missing.
  if (is(CLI::ExitCodes::ExtrasError) || (is(CLI::ExitCodes::RequiredError) && !app.remaining(true).empty())) {
    return report(invalid_input(unknown_argument(app)));
  }
  if (no_command) {
    fmt::print(stderr, "{}", command.help());
    return kFailure;
  }
  return report(invalid_input(fmt::format("{}: {}; see {} --help", where, error.what(), where)));
}

bool takes_path(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  constexpr std::array<std::string_view, 6> kPaths = {"FILE", "DIR", "PATH", "OUT", "DATA", "MODEL"};
  // "FILE", "FILE...", but not "FILES" or "OUTER".
  const std::string word = type.substr(0, type.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ"));
  return type.ends_with(".onnx") || std::ranges::find(kPaths, word) != kPaths.end();
}

int parse_then_run(CLI::App& app, std::function<int()>& run, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return explain(app, error);
  }
  if (const Status status = check_path_flags(app); !status.ok()) return report(status.error());
  try {
    return run ? run() : kFailure;
  } catch (const std::bad_alloc&) {
    return report(invalid_input("memory is exhausted"));
  }
}

}  // namespace

Status check_path_flags(const CLI::App& app) {
  for (const CLI::Option* option : innermost(app).get_options()) {
    if (!takes_path(*option) || std::ranges::find(option->results(), "") == option->results().end()) continue;
    return invalid_input(fmt::format("{}: the name of a file or folder is empty", option->get_name()));
  }
  return {};
}

int parse_and_run(CLI::App& app, std::function<int()>& run, int argc, char** argv) {
  int status = kSuccess;
  bool written = true;
  try {
    status = parse_then_run(app, run, argc, argv);
  } catch (const std::system_error&) {  // of fmt::print
    written = false;
  }
  // Such as a full disk behind a pipe or a file.
  written &= std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  return written || status != kSuccess ? status : report(io_error("standard output: the results cannot be written"));
}

}  // namespace gannet
