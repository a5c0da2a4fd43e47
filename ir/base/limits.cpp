#include "ir/base/limits.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace gannet {
namespace {

struct Entry {
  std::string_view name;
  int64_t Limits::*member;
};

constexpr std::array<Entry, 8> kEntries = {{
    {"nodes", &Limits::nodes},
    {"file-bytes", &Limits::file_bytes},
    {"tensor-bytes", &Limits::tensor_bytes},
    {"elements", &Limits::elements},
    {"rank", &Limits::rank},
    {"nesting", &Limits::nesting},
    {"loop-trips", &Limits::loop_trips},
    {"live-bytes", &Limits::live_bytes},
}};

}  // namespace

Status set_limit(Limits& limits, std::string_view assignment) {
  const size_t equals = assignment.find('=');
  if (equals == std::string_view::npos) {
    return invalid_input(fmt::format("limit '{}' is not of the form NAME=VALUE", assignment));
  }
  const std::string_view name = assignment.substr(0, equals);
  const std::string_view text = assignment.substr(equals + 1);
  const auto* entry =
      std::find_if(kEntries.begin(), kEntries.end(), [&](const Entry& e) { return e.name == name; });
  if (entry == kEntries.end()) {
    return invalid_input(
        fmt::format("there is no limit named '{}'; the limits are {}", name, describe(limits)));
  }
  int64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || end != text.data() + text.size() || value < 0) {
    return invalid_input(fmt::format("limit {} takes an integer of at least 0, not '{}'", name, text));
  }
  limits.*(entry->member) = value;
  return {};
}

std::string describe(const Limits& limits) {
  std::string text;
  for (const Entry& entry : kEntries) {
    if (!text.empty()) text += ' ';
    text += fmt::format("{}={}", entry.name, limits.*(entry.member));
  }
  return text;
}

}  // namespace gannet
