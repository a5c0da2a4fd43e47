#include "tools/driver/picture_targets.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <set>

#include "runtime/data/image.h"
#include "tools/deploy/arguments.h"

namespace gannet {

namespace {

namespace fs = std::filesystem;

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

}  // namespace

Status check_picture_file(const std::string& path, const std::string& extension) {
  const std::string own = lower(fs::path(path).extension().string());
  if ((is_image_name(path) || own == ".gif") && own != extension)
    return invalid_input(fmt::format("{}: what is written is no '{}' but '{}'", path, own, extension));
  return check_output_path(path);
}

Status check_output_folder(const std::string& path) {
  std::error_code ignored;
  fs::path place = fs::absolute(path, ignored);
  while (!fs::exists(place, ignored) && place.has_relative_path()) place = place.parent_path();
  if (!fs::is_directory(place, ignored))
    return io_error(fmt::format("{}: cannot be a folder: {} is a file", path, place.string()));
  if (::access(place.c_str(), W_OK) != 0)
    return io_error(
        fmt::format("{}: cannot be written: no permission to write into '{}'", path, place.string()));
  return {};
}

Status make_folder(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return io_error(fmt::format("{}: {}", path, error.message()));
  return {};
}

Status check_targets(std::span<const std::string> targets, std::span<const std::string> sources) {
  std::set<fs::path> seen;
  for (const std::string& target : targets) {
    std::error_code ignored;
    const fs::path canonical = fs::weakly_canonical(target, ignored);
    if (!seen.insert(ignored ? fs::path(target) : canonical).second)
      return invalid_input(fmt::format("{} would be written twice", target));
    for (const std::string& source : sources) {
      if (fs::equivalent(target, source, ignored))
        return invalid_input(fmt::format("{} would overwrite {}, which is read", target, source));
    }
  }
  return {};
}

}  // namespace gannet
