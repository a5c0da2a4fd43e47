#include "tools/deploy/output_path.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <set>

#include "runtime/data/image.h"
#include "tools/deploy/arguments.h"

namespace gannet {

namespace {

// `path` without links, as far as it exists.
std::filesystem::path whole_path(const std::string& path) {
  std::error_code error;
  std::filesystem::path whole = std::filesystem::weakly_canonical(path, error);
  return error ? std::filesystem::path(path).lexically_normal() : whole;
}

bool is_within(const std::filesystem::path& file, const std::filesystem::path& folder) {
  return std::ranges::mismatch(folder, file).in1 == folder.end();
}

}  // namespace

Status check_not_over(const std::string& output, const std::string& input) {
  std::error_code absent;
  if (output.empty() || input.empty() || !std::filesystem::is_regular_file(output, absent)) return {};
  if (std::filesystem::equivalent(output, input, absent)) return invalid_input(fmt::format("{}: is read as well, it would be written over", output));
  if (std::filesystem::is_directory(input, absent) && is_image_name(output) && is_within(whole_path(output), whole_path(input)))
    return invalid_input(fmt::format("{}: is one of the pictures of {}, it would be written over", output, input));
  return {};
}

Status check_outputs(const std::vector<std::string>& outputs, const std::vector<std::string>& inputs,
                     const std::vector<std::string>& optional) {
  std::vector<std::string> all = outputs;
  std::ranges::copy_if(optional, std::back_inserter(all), [](const std::string& name) { return !name.empty(); });
  std::set<std::filesystem::path> taken;
  for (const std::string& output : all) {
    TRY(check_output_path(output));
    for (const std::string& input : inputs) TRY(check_not_over(output, input));
    if (!taken.insert(whole_path(output)).second) return invalid_input(fmt::format("{}: two results would be written there", output));
  }
  return {};
}

}  // namespace gannet
