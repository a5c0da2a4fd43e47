#include "frontend/external_data.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <string_view>

namespace gannet {
namespace {

constexpr int kOpenFlags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

Result<int64_t> parse_position(const std::string& key, const std::string& text) {
  int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) {
    return invalid_model(
        fmt::format("external data: {} '{}' is not a number from 0 to {}", key, text, INT64_MAX));
  }
  return value;
}

// The components of a location that is relative and stays below its folder.
Result<std::vector<std::string>> components_of(const std::string& location) {
  if (location.empty()) return invalid_model("external data: the location is empty");
  if (location.find('\0') != std::string::npos)
    return invalid_model("external data: the location holds a zero byte");
  if (location[0] == '/') {
    return invalid_model(fmt::format("external data: location '{}' is absolute", location));
  }
  std::vector<std::string> components;
  for (size_t begin = 0; begin <= location.size();) {
    size_t end = std::min(location.find('/', begin), location.size());
    std::string component = location.substr(begin, end - begin);
    if (component == "..") {
      return invalid_model(fmt::format("external data: location '{}' leaves the model's folder", location));
    }
    if (!component.empty() && component != ".") components.push_back(std::move(component));
    begin = end + 1;
  }
  if (components.empty())
    return invalid_model(fmt::format("external data: location '{}' names no file", location));
  return components;
}

Error open_failure(const std::string& location) {
  if (errno == ELOOP || errno == EXDEV) {
    return invalid_model(
        fmt::format("external data: location '{}' is or passes through a symbolic link", location));
  }
  return io_error(fmt::format("external data: '{}' cannot be opened: {}", location, std::strerror(errno)));
}

// Closed with errno set where a component cannot be opened.
FileDescriptor open_by_components(const FileDescriptor& folder, const std::vector<std::string>& components) {
  FileDescriptor current;
  for (size_t i = 0; i < components.size(); ++i) {
    bool last = i + 1 == components.size();
    int flags = last ? kOpenFlags | O_NOFOLLOW : O_PATH | O_CLOEXEC | O_NOFOLLOW;
    int parent = i == 0 ? folder.value() : current.value();
    FileDescriptor next(openat(parent, components[i].c_str(), flags));
    if (!next.open()) return next;
    struct stat info;
    // O_PATH opens a symbolic link itself.
    if (!last && fstat(next.value(), &info) == 0 && !S_ISDIR(info.st_mode)) {
      next.close();
      errno = S_ISLNK(info.st_mode) ? ELOOP : ENOTDIR;
      return FileDescriptor();
    }
    current = std::move(next);
  }
  return current;
}

FileDescriptor open_by_kernel(const FileDescriptor& folder, const std::string& location) {
  struct open_how how = {};
  how.flags = static_cast<uint64_t>(kOpenFlags);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return FileDescriptor(
      static_cast<int>(syscall(SYS_openat2, folder.value(), location.c_str(), &how, sizeof(how))));
}

Status check_file(int descriptor, const std::string& location) {
  struct stat info;
  if (fstat(descriptor, &info) != 0) return open_failure(location);
  if (!S_ISREG(info.st_mode)) {
    return invalid_model(fmt::format("external data: '{}' is not a regular file", location));
  }
  if (info.st_nlink > 1) {
    return invalid_model(fmt::format("external data: '{}' is a file with {} hard links, 1 is allowed",
                                     location, info.st_nlink));
  }
  return {};
}

}  // namespace

Result<ExternalLocation> parse_external_location(
    const std::vector<std::pair<std::string, std::string>>& entries) {
  ExternalLocation result;
  bool located = false;
  for (const auto& [key, value] : entries) {
    if (key == "location") {
      result.location = value;
      located = true;
    } else if (key == "offset") {
      result.offset = TRY(parse_position(key, value));
    } else if (key == "length") {
      result.length = TRY(parse_position(key, value));
    }
  }
  if (!located) return invalid_model("external data: there is no location");
  return result;
}

Result<FileDescriptor> open_beneath(const std::string& folder, const std::string& location, bool components) {
  std::vector<std::string> parts = TRY(components_of(location));
  FileDescriptor root(open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root.open()) return io_error(fmt::format("{}: {}", folder, std::strerror(errno)));
  FileDescriptor file;
  if (!components) file = open_by_kernel(root, location);
  // Kernels before 5.6 do not have openat2, and some sandboxes forbid it.
  bool refused = !components && !file.open() && errno != ENOSYS && errno != EPERM && errno != EINVAL;
  if (!file.open() && !refused) file = open_by_components(root, parts);
  if (!file.open()) return open_failure(location);
  TRY(check_file(file.value(), location));
  return file;
}

std::vector<std::string> ExternalData::paths() const {
  std::vector<std::string> paths;
  for (const auto& [location, file] : files_) {
    if (!folder_.empty()) paths.push_back(folder_ + "/" + location);
  }
  return paths;
}

Result<ExternalBytes> ExternalData::bytes(const ExternalLocation& where, int64_t needed,
                                          const Limits& limits) {
  auto found = files_.find(where.location);
  if (folder_.empty() && found == files_.end()) {
    return invalid_model(
        fmt::format("external data: '{}' cannot be found for a model without a folder", where.location));
  }
  if (where.length && *where.length != needed) {
    return invalid_model(fmt::format("external data: length {} does not fit the tensor, which needs {} bytes",
                                     *where.length, needed));
  }
  if (found == files_.end()) {
    FileDescriptor descriptor = TRY(open_beneath(folder_, where.location));
    Result<FileBytes> mapped = map_descriptor(descriptor.value(), where.location, limits, true);
    if (!mapped.ok()) return with_prefix("external data: ", mapped.error());
    found = files_.emplace(where.location, *mapped).first;
  }
  const FileBytes& file = found->second;
  if (where.offset > file.size || needed > file.size - where.offset) {
    return invalid_model(
        fmt::format("external data: {} bytes at offset {} of '{}' lie beyond its end, it has {} bytes",
                    needed, where.offset, where.location, file.size));
  }
  return ExternalBytes{file, where.offset, needed};
}

}  // namespace gannet
