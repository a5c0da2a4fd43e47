#include "backend/llvm/object_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <vector>

#include "ir/base/file.h"
#include "ir/base/fnv1a.h"

namespace gannet {
namespace {

constexpr std::string_view kMagic = "gannet kernel 1\n";
constexpr std::string_view kExtension = ".kernel";
// What a process that was killed may leave behind, and after how long it is that and not another process at work.
constexpr std::string_view kUnfinished = ".tmp";
constexpr std::chrono::hours kLongest{1};
constexpr int64_t kMostBytesOfOne = int64_t{16} << 20;

std::string default_folder() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache && *cache) return std::string(cache) + "/gannet";
  const char* home = std::getenv("HOME");
  return home && *home ? std::string(home) + "/.cache/gannet" : std::string();
}

void append_number(std::string& bytes, uint64_t number) { bytes.append(reinterpret_cast<const char*>(&number), sizeof number); }

bool take_number(std::string_view& bytes, uint64_t& number) {
  if (bytes.size() < sizeof number) return false;
  std::memcpy(&number, bytes.data(), sizeof number);
  bytes.remove_prefix(sizeof number);
  return true;
}

}  // namespace

ObjectCache::ObjectCache(std::string folder, int64_t most_bytes)
    : folder_(folder.empty() ? default_folder() : std::move(folder)), most_bytes_(most_bytes) {}

std::string ObjectCache::path_of(const std::string& key) const {
  return fmt::format("{}/{}{}", folder_, digest_of(key), kExtension);
}

std::optional<KernelCode> ObjectCache::find(const std::string& key) const {
  if (folder_.empty()) return std::nullopt;
  const std::string path = path_of(key);
  std::error_code problem;
  if (!std::filesystem::exists(path, problem)) return std::nullopt;
  const Result<std::string> bytes = read_file(path, kMostBytesOfOne);
  if (!bytes.ok() || !bytes->starts_with(kMagic)) return std::nullopt;
  std::string_view rest = std::string_view(*bytes).substr(kMagic.size());
  uint64_t checksum = 0, key_length = 0, entry = 0;
  if (!take_number(rest, checksum) || checksum != fnv1a(rest) || !take_number(rest, key_length) ||
      key_length > rest.size())
    return std::nullopt;
  if (rest.substr(0, key_length) != key) return std::nullopt;
  rest.remove_prefix(key_length);
  if (!take_number(rest, entry) || entry >= rest.size()) return std::nullopt;
  // The time of the last use, for trim.
  std::filesystem::last_write_time(path, std::filesystem::file_time_type::clock::now(), problem);
  return KernelCode{std::vector<uint8_t>(rest.begin(), rest.end()), static_cast<int64_t>(entry)};
}

void ObjectCache::keep(const std::string& key, const KernelCode& code) const {
  if (folder_.empty()) return;
  std::error_code problem;
  std::filesystem::create_directories(folder_, problem);
  if (problem) return;
  std::string rest;
  append_number(rest, key.size());
  rest += key;
  append_number(rest, static_cast<uint64_t>(code.entry));
  rest.append(code.bytes.begin(), code.bytes.end());
  std::string bytes(kMagic);
  append_number(bytes, fnv1a(rest));
  static_cast<void>(write_file_atomically(path_of(key), bytes + rest, Durability::kLater));
}

void ObjectCache::trim() const {
  struct Entry {
    std::filesystem::file_time_type used;
    std::filesystem::path path;
    int64_t bytes = 0;
  };
  std::vector<Entry> entries;
  int64_t total = 0;
  std::error_code problem;
  for (std::filesystem::directory_iterator at(folder_, problem), end; !problem && at != end; at.increment(problem)) {
    std::error_code gone;
    if (at->path().extension() == kUnfinished && std::filesystem::file_time_type::clock::now() - at->last_write_time(gone) > kLongest && !gone) {
      std::filesystem::remove(at->path(), gone);
    }
    if (at->path().extension() != kExtension) continue;
    Entry entry{at->last_write_time(gone), at->path(), static_cast<int64_t>(at->file_size(gone))};
    if (gone) continue;
    total += entry.bytes;
    entries.push_back(std::move(entry));
  }
  if (total <= most_bytes_) return;
  std::ranges::sort(entries, {}, &Entry::used);
  for (const Entry& entry : entries) {
    if (total <= most_bytes_) return;
    std::error_code gone;
    std::filesystem::remove(entry.path, gone);
    total -= entry.bytes;
  }
}

}  // namespace gannet
