#include "tools/driver/row_flags.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace gannet {

void collect_flags(CLI::App& command, std::set<std::string>& names, const std::function<void()>& add) {
  const std::vector<CLI::Option*> before = command.get_options(nullptr);
  add();
  for (const CLI::Option* option : command.get_options(nullptr)) {
    if (std::ranges::find(before, option) == before.end()) names.insert(option->get_name());
  }
}

void collect_given(const CLI::App& command, std::set<std::string>& given) {
  for (const CLI::Option* option : command.get_options([](const CLI::Option*) { return true; })) {
    if (option->count() > 0) given.insert(option->get_name());
  }
}

Status check_row_flags(const RowFlags& flags, const std::string& data, RowKind rows) {
  constexpr std::array<std::string_view, 3> kNames = {"arrays", "texts", "pictures"};
  auto check = [&](const std::set<std::string>& own, RowKind kind) -> Status {
    for (const std::string& flag : flags.given) {
      if (rows == kind || !own.contains(flag)) continue;
      return invalid_input(fmt::format("{} is for {}, and {} is read as {}; --task says what to read", flag,
                                       kNames[static_cast<size_t>(kind)], data,
                                       kNames[static_cast<size_t>(rows)]));
    }
    return {};
  };
  TRY(check(flags.for_texts, RowKind::kTexts));
  return check(flags.for_pictures, RowKind::kPictures);
}

}  // namespace gannet
