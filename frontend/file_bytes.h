// The bytes of a file, mapped read-only, or bytes in memory that stand for a file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "ir/base/error.h"
#include "ir/base/limits.h"

namespace gannet {

// Bytes that stay valid as long as `owner` lives. Copies share them. A mapped file that another process
// shortens while it is in use ends the program, as with every mapped file.
struct FileBytes {
  std::shared_ptr<const void> owner;
  const std::byte* data = nullptr;
  int64_t size = 0;
  bool mapped = false;

  std::span<const std::byte> span() const { return {data, static_cast<size_t>(size)}; }
  std::string_view text(int64_t begin, int64_t length) const;
  bool maps(const void* address) const {
    const auto* byte = static_cast<const std::byte*>(address);
    return mapped && std::greater_equal<>()(byte, data) && std::less<>()(byte, data + size);
  }
  // Tells the system that these bytes were read and need not stay in memory; they stay readable.
  void release(int64_t begin, int64_t length) const;
};

// What tells whether a file is still the one that was read.
struct FileIdentity {
  uint64_t device = 0, inode = 0;
  int64_t size = 0, changed_seconds = 0, changed_nanoseconds = 0;
  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

// Maps the regular file at `path`. Errors name the path: not found, a directory, a pipe, larger than
// limits.file_bytes, and, unless `allow_empty`, empty.
Result<FileBytes> map_file(const std::string& path, const Limits& limits, bool allow_empty = false,
                           FileIdentity* identity = nullptr);
// The same for an open descriptor, which stays open; `name` is for messages.
Result<FileBytes> map_descriptor(int descriptor, const std::string& name, const Limits& limits,
                                 bool allow_empty = false, FileIdentity* identity = nullptr);
// The identity of the file at `path` now; an error when there is none.
Result<FileIdentity> identify_file(const std::string& path);
// Bytes in memory as if they had been a file.
FileBytes bytes_in_memory(std::string bytes);

}  // namespace gannet
