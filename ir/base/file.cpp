#include "ir/base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <new>
#include <system_error>

namespace gannet {
namespace {

std::string reason(int error_number) { return std::generic_category().message(error_number); }

Error system_failure(const std::string& path, int error_number) {
  return io_error(fmt::format("{}: {}", path, reason(error_number)));
}

std::string_view kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a folder";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

std::string folder_of(const std::string& path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// What `path` names once links are followed; a link that leads to nothing yet is kept, as rename would
// replace it.
std::string follow_links(const std::string& path) {
  std::unique_ptr<char, decltype(&std::free)> resolved(::realpath(path.c_str(), nullptr), &std::free);
  return resolved ? std::string(resolved.get()) : path;
}

// Some file systems cannot flush a folder and say EINVAL; the rename is as safe as they make it.
bool flush_folder(const std::string& folder) {
  FileDescriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!descriptor.open()) return true;  // a folder may be writable and not readable
  return ::fsync(descriptor.value()) == 0 || errno == EINVAL || errno == ENOTSUP || errno == EROFS;
}

bool has_nul(const std::string& path) { return path.find('\0') != std::string::npos; }

}  // namespace

FileDescriptor::~FileDescriptor() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

bool FileDescriptor::close() {
  int descriptor = std::exchange(descriptor_, -1);
  return descriptor < 0 || ::close(descriptor) == 0 || errno == EINTR;
}

Result<ReadableFile> ReadableFile::open(const std::string& path) {
  if (path.empty()) return io_error("the file name is empty");
  if (has_nul(path)) return io_error(fmt::format("{}: the file name contains a zero byte", path.c_str()));
  ReadableFile file;
  file.path_ = path;
  // Without O_NONBLOCK, opening a pipe would wait for its writer.
  file.descriptor_ = FileDescriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.descriptor_.open()) return system_failure(path, errno);
  struct stat status {};
  if (::fstat(file.descriptor_.value(), &status) != 0) return system_failure(path, errno);
  if (!S_ISREG(status.st_mode)) {
    return io_error(fmt::format("{}: is {}, not a regular file", path, kind_of(status.st_mode)));
  }
  file.size_ = status.st_size;
  return file;
}

Status ReadableFile::read_at(int64_t offset, std::span<uint8_t> bytes) const {
  size_t done = 0;
  while (done < bytes.size()) {
    int64_t position = offset + static_cast<int64_t>(done);
    ssize_t count = ::pread(descriptor_.value(), bytes.data() + done, bytes.size() - done, position);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_failure(path_, errno);
    if (count == 0) {
      return io_error(fmt::format("{}: ends after {} bytes, {} are needed", path_, position,
                                  offset + static_cast<int64_t>(bytes.size())));
    }
    done += static_cast<size_t>(count);
  }
  return {};
}

Result<std::string> read_file(const std::string& path, int64_t max_bytes) {
  ReadableFile file = TRY(ReadableFile::open(path));
  if (file.size() > max_bytes) {
    return invalid_input(fmt::format("{}: is {} bytes long, the limit is {}", path, file.size(), max_bytes));
  }
  std::string contents;
  try {
    contents.resize(static_cast<size_t>(file.size()));
  } catch (const std::bad_alloc&) {
    return io_error(fmt::format("{}: no memory for {} bytes", path, file.size()));
  }
  TRY(file.read_at(0, {reinterpret_cast<uint8_t*>(contents.data()), contents.size()}));
  return contents;
}

Result<AtomicFile> AtomicFile::create(const std::string& path) {
  if (path.empty()) return io_error("the file name is empty");
  if (has_nul(path)) return io_error(fmt::format("{}: the file name contains a zero byte", path.c_str()));
  AtomicFile file;
  file.path_ = path;
  struct stat status {};
  bool exists = ::stat(path.c_str(), &status) == 0;
  if (!exists && errno != ENOENT) return system_failure(path, errno);
  if (exists && (S_ISDIR(status.st_mode) || S_ISSOCK(status.st_mode))) {
    return io_error(fmt::format("{}: is {}, not a regular file", path, kind_of(status.st_mode)));
  }
  if (exists && !S_ISREG(status.st_mode)) {
    file.descriptor_ = FileDescriptor(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!file.descriptor_.open()) return system_failure(path, errno);
    return file;
  }
  if (exists && ::access(path.c_str(), W_OK) != 0) return system_failure(path, errno);
  file.target_ = exists ? follow_links(path) : path;
  if (file.target_.back() == '/') return system_failure(path, EISDIR);
  std::string folder = folder_of(file.target_);
  for (int attempt = 0; attempt < 1000 && !file.descriptor_.open(); ++attempt) {
    std::string name = fmt::format("{}/.gannet-{}-{}.tmp", folder, ::getpid(), attempt);
    file.descriptor_ = FileDescriptor(::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (file.descriptor_.open())
      file.temporary_ = name;
    else if (errno != EEXIST)
      return file.failure(errno);
  }
  if (!file.descriptor_.open()) return file.failure(EEXIST);
  if (exists && ::fchmod(file.descriptor_.value(), status.st_mode & 07777) != 0) return file.failure(errno);
  return file;
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      target_(std::move(other.target_)),
      temporary_(std::exchange(other.temporary_, std::string())),
      descriptor_(std::move(other.descriptor_)),
      size_(other.size_),
      started_(other.started_) {}

AtomicFile::~AtomicFile() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Error AtomicFile::failure(int error_number) const {
  if (size_ == 0) return io_error(fmt::format("{}: cannot be written: {}", path_, reason(error_number)));
  return io_error(
      fmt::format("{}: cannot be written after {} bytes: {}", path_, size_, reason(error_number)));
}

// The disk works while more is written, so that commit has less to wait for.
Status AtomicFile::write(std::span<const uint8_t> bytes) {
  constexpr int64_t kPiece = int64_t{8} << 20;
  while (!bytes.empty()) {
    ssize_t count = ::write(descriptor_.value(), bytes.data(), std::min<size_t>(bytes.size(), kPiece));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failure(errno);
    size_ += count;
    bytes = bytes.subspan(static_cast<size_t>(count));
    if (size_ - started_ < kPiece || temporary_.empty()) continue;
    static_cast<void>(::sync_file_range(descriptor_.value(), started_, size_ - started_, SYNC_FILE_RANGE_WRITE));
    started_ = size_;
  }
  return {};
}

Status AtomicFile::write_at(int64_t offset, std::span<const uint8_t> bytes) const {
  constexpr size_t kLarge = size_t{1} << 20;
  const auto size = static_cast<int64_t>(bytes.size());
  for (int64_t done = 0; done < size;) {
    const ssize_t count = ::pwrite(descriptor_.value(), bytes.data() + done, static_cast<size_t>(size - done), offset + done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failure(errno);
    done += count;
  }
  if (bytes.size() >= kLarge) static_cast<void>(::sync_file_range(descriptor_.value(), offset, size, SYNC_FILE_RANGE_WRITE));
  return {};
}

Status AtomicFile::extend_to(int64_t size) const {
  struct stat status {};
  if (::fstat(descriptor_.value(), &status) != 0) return failure(errno);
  if (status.st_size < size && ::ftruncate(descriptor_.value(), size) != 0) return failure(errno);
  return {};
}

Status AtomicFile::write(std::string_view text) {
  return write({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

Status AtomicFile::commit(Durability durability) {
  if (temporary_.empty()) return descriptor_.close() ? Status() : Status(failure(errno));
  const bool flushed = durability == Durability::kFlushed;
  if (flushed && ::fsync(descriptor_.value()) != 0) return failure(errno);
  if (!descriptor_.close()) return failure(errno);
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) return failure(errno);
  temporary_.clear();
  if (flushed && !flush_folder(folder_of(target_))) return failure(errno);
  return {};
}

Status write_file_atomically(const std::string& path, const std::function<Status(AtomicFile&)>& writer) {
  AtomicFile file = TRY(AtomicFile::create(path));
  TRY(writer(file));
  return file.commit();
}

Status write_file_atomically(const std::string& path, std::string_view contents, Durability durability) {
  AtomicFile file = TRY(AtomicFile::create(path));
  TRY(file.write(contents));
  return file.commit(durability);
}

Result<MappedFile> MappedFile::open(const std::string& path, int64_t max_bytes) {
  ReadableFile file = TRY(ReadableFile::open(path));
  if (file.size() > max_bytes) {
    return invalid_input(fmt::format("{}: is {} bytes long, the limit is {}", path, file.size(), max_bytes));
  }
  MappedFile mapped;
  if (file.size() == 0) return mapped;  // the system maps nothing of no length
  size_t length = static_cast<size_t>(file.size());
  void* address = ::mmap(nullptr, length, PROT_READ, MAP_PRIVATE, file.descriptor_.value(), 0);
  if (address == MAP_FAILED) return system_failure(path, errno);
  mapped.owner_ = std::shared_ptr<const void>(
      address, [length](const void* start) { ::munmap(const_cast<void*>(start), length); });
  mapped.bytes_ = {static_cast<const uint8_t*>(address), length};
  return mapped;
}

}  // namespace gannet
