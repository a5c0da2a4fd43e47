// Files of the operating system, read without surprises and replaced as a whole or not at all. Every error
// names the path and the reason the system gave.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "ir/base/error.h"

namespace gannet {

// All bytes of a regular file. Refuses folders, pipes, devices, and files of more than `max_bytes`.
Result<std::string> read_file(const std::string& path, int64_t max_bytes);

class AtomicFile;

// Whether a file is on the disk when it has its name, or is left to the system to write: then a loss of power may leave
// it empty or in part.
enum class Durability { kFlushed, kLater };

// Replaces `path` by what `writer` writes, or leaves it as it was and returns the reason (the writer's own
// error, or the system's). Temporary files are removed in either case.
Status write_file_atomically(const std::string& path, const std::function<Status(AtomicFile&)>& writer);
Status write_file_atomically(const std::string& path, std::string_view contents, Durability durability = Durability::kFlushed);

// A file descriptor that closes itself.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int descriptor) : descriptor_(descriptor) {}
  FileDescriptor(FileDescriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~FileDescriptor();

  int value() const { return descriptor_; }
  bool open() const { return descriptor_ >= 0; }
  // Closes it; false, with errno set, when the system reports a late write error.
  bool close();

 private:
  int descriptor_ = -1;
};

// A regular file open for reading at any position. Reads after the file has shrunk are errors, not signals.
class ReadableFile {
 public:
  static Result<ReadableFile> open(const std::string& path);

  const std::string& path() const { return path_; }
  // The size when it was opened.
  int64_t size() const { return size_; }
  // Fills `bytes` from position `offset`; an error when the file ends before.
  Status read_at(int64_t offset, std::span<uint8_t> bytes) const;

 private:
  friend class MappedFile;
  std::string path_;
  FileDescriptor descriptor_;
  int64_t size_ = 0;
};

// A file under construction. It is written under another name in the folder of `path`; commit() flushes it to
// the disk and renames it over `path`, so that a reader sees the old file or the new one, never a part.
// Without a commit the destructor removes it. A link is followed; the mode of a file that is replaced is
// kept. A `path` that names a pipe or a device (/dev/null, /dev/stdout) is written directly, as there is
// nothing to replace.
class AtomicFile {
 public:
  static Result<AtomicFile> create(const std::string& path);
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();

  const std::string& path() const { return path_; }
  // Bytes written by now.
  int64_t size() const { return size_; }
  Status write(std::span<const uint8_t> bytes);
  Status write(std::string_view text);
  // Whether write_at can be used: not where a pipe or a device is written directly.
  bool is_seekable() const { return !temporary_.empty(); }
  // Writes at a position, for files that are not written in order; several threads may at once. Such bytes do not count in
  // size(), and what nobody writes is zero.
  Status write_at(int64_t offset, std::span<const uint8_t> bytes) const;
  // The file has `size` bytes at least.
  Status extend_to(int64_t size) const;
  // The last call on it.
  Status commit(Durability durability = Durability::kFlushed);

 private:
  AtomicFile() = default;
  Error failure(int error_number) const;

  std::string path_;       // as the caller gave it, for messages
  std::string target_;     // what is replaced: path_ with links followed
  std::string temporary_;  // empty when written directly, or when done
  FileDescriptor descriptor_;
  int64_t size_ = 0;
  int64_t started_ = 0;  // bytes that the system has been told to write
};

// A regular file mapped read-only into memory. Copies share the mapping, and so does whatever holds owner().
// The file must not shrink while it is mapped: the system ends a program that reads beyond the end.
class MappedFile {
 public:
  static Result<MappedFile> open(const std::string& path, int64_t max_bytes);

  std::span<const uint8_t> bytes() const { return bytes_; }
  // Keeps the mapping alive; for Tensor::view.
  const std::shared_ptr<const void>& owner() const { return owner_; }

 private:
  std::span<const uint8_t> bytes_;
  std::shared_ptr<const void> owner_;
};

}  // namespace gannet
