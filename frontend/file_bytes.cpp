#include "frontend/file_bytes.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "ir/base/file.h"

namespace gannet {
namespace {

std::string reason() { return std::strerror(errno); }

FileIdentity identity_of(const struct stat& info) {
  return {info.st_dev, info.st_ino, info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
}

const char* kind_name(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

}  // namespace

std::string_view FileBytes::text(int64_t begin, int64_t length) const {
  return {reinterpret_cast<const char*>(data) + begin, static_cast<size_t>(length)};
}

void FileBytes::release(int64_t begin, int64_t length) const {
  if (!mapped) return;
  int64_t page = sysconf(_SC_PAGESIZE);
  int64_t first = (begin + page - 1) / page * page, last = (begin + length) / page * page;
  if (first >= last) return;
  // Only the pages leave this process; the file and the system's cache of it keep them.
  madvise(const_cast<std::byte*>(data) + first, static_cast<size_t>(last - first), MADV_DONTNEED);
}

Result<FileBytes> map_descriptor(int descriptor, const std::string& name, const Limits& limits,
                                 bool allow_empty, FileIdentity* identity) {
  struct stat info;
  if (fstat(descriptor, &info) != 0) return io_error(fmt::format("{}: {}", name, reason()));
  if (!S_ISREG(info.st_mode)) {
    return invalid_input(fmt::format("{}: is {}, not a regular file", name, kind_name(info.st_mode)));
  }
  if (info.st_size > limits.file_bytes) {
    return invalid_input(
        fmt::format("{}: has {} bytes, the limit file-bytes is {}", name, info.st_size, limits.file_bytes));
  }
  if (identity != nullptr) *identity = identity_of(info);
  if (info.st_size == 0) {
    if (!allow_empty) return invalid_input(fmt::format("{}: the file is empty", name));
    return bytes_in_memory("");
  }
  size_t size = static_cast<size_t>(info.st_size);
  void* address = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  if (address == MAP_FAILED) return io_error(fmt::format("{}: cannot be mapped: {}", name, reason()));
  std::shared_ptr<const void> owner(address, [size](const void* p) { munmap(const_cast<void*>(p), size); });
  return FileBytes{std::move(owner), static_cast<const std::byte*>(address), info.st_size, true};
}

Result<FileBytes> map_file(const std::string& path, const Limits& limits, bool allow_empty,
                           FileIdentity* identity) {
  // Without O_NONBLOCK, opening a pipe would wait for its writer.
  FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file.open()) return io_error(fmt::format("{}: cannot be opened: {}", path, reason()));
  return map_descriptor(file.value(), path, limits, allow_empty, identity);
}

Result<FileIdentity> identify_file(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return io_error(fmt::format("{}: {}", path, reason()));
  return identity_of(info);
}

FileBytes bytes_in_memory(std::string bytes) {
  auto owner = std::make_shared<const std::string>(std::move(bytes));
  const std::byte* data = reinterpret_cast<const std::byte*>(owner->data());
  int64_t size = static_cast<int64_t>(owner->size());
  return {std::move(owner), data, size, false};
}

}  // namespace gannet
