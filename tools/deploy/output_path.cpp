#include "tools/deploy/output_path.h"

#include <fmt/format.h>

#include <filesystem>

namespace gannet {

Status check_not_over(const std::string& output, const std::string& input) {
  std::error_code absent;
  if (input.empty() || !std::filesystem::equivalent(output, input, absent)) return {};
  return invalid_input(fmt::format("{}: is read as well, it would be written over", output));
}

}  // namespace gannet
