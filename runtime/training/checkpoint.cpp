#include "runtime/training/checkpoint.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <set>
#include <system_error>

#include "runtime/training/checkpoint_json.h"
#include "runtime/core/crc32c.h"
#include "runtime/training/safetensors.h"

namespace gannet {

namespace {

namespace fs = std::filesystem;

constexpr size_t kKept = 2;
constexpr int64_t kMaxJsonBytes = int64_t{1} << 24;

// N of "PREFIX-N.EXTENSION", or nothing.
std::optional<int64_t> step_of(const std::string& name, std::string_view kind, std::string_view extension) {
  const std::string prefix = std::string(kind) + "-";
  if (!name.starts_with(prefix) || !name.ends_with(extension) ||
      name.size() <= prefix.size() + extension.size())
    return {};
  int64_t step = 0;
  const char* end = name.data() + name.size() - extension.size();
  const auto parsed = std::from_chars(name.data() + prefix.size(), end, step);
  return parsed.ec == std::errc() && parsed.ptr == end && step >= 0 ? std::optional(step) : std::nullopt;
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

struct FileSum {
  uint32_t crc = 0;
  int64_t bytes = 0;
};

Result<FileSum> sum_of(const std::string& path) {
  constexpr int64_t kPiece = int64_t{1} << 20;
  const ReadableFile file = TRY(ReadableFile::open(path));
  FileSum sum{0, file.size()};
  std::vector<uint8_t> piece(static_cast<size_t>(std::min(kPiece, file.size())));
  for (int64_t at = 0; at < file.size(); at += kPiece) {
    const std::span<uint8_t> part(piece.data(), static_cast<size_t>(std::min(kPiece, file.size() - at)));
    TRY(file.read_at(at, part));
    sum.crc = crc32c(part, sum.crc);
  }
  return sum;
}

}  // namespace

Result<CheckpointStore> CheckpointStore::open(const std::string& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return io_error(fmt::format("{}: cannot be made: {}", folder, error.message()));
  CheckpointStore store(folder);
  const std::string lock = folder + "/lock";
  store.lock_ = FileDescriptor(::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (!store.lock_.open())
    return io_error(fmt::format("{}: {}", lock, std::generic_category().message(errno)));
  if (::flock(store.lock_.value(), LOCK_EX | LOCK_NB) != 0) {
    return io_error(fmt::format("{}: another run keeps its checkpoints there", folder));
  }
  // Left by a run that was killed while it wrote.
  for (const std::string& name : names_in(folder)) {
    if (name.starts_with(".gannet-") && name.ends_with(".tmp")) fs::remove(folder + "/" + name, error);
  }
  return store;
}

std::string CheckpointStore::path(std::string_view kind, int64_t step, std::string_view extension) const {
  return fmt::format("{}/{}-{:08}{}", folder_, kind, step, extension);
}

std::vector<int64_t> CheckpointStore::steps() const {
  std::vector<int64_t> steps;
  for (const std::string& name : names_in(folder_)) {
    if (const auto step = step_of(name, "step", ".json")) steps.push_back(*step);
  }
  std::ranges::sort(steps, std::greater());
  return steps;
}

Status CheckpointStore::save(const TrainingPosition& position, const NamedTensors& states) {
  const std::string file = path("step", position.step, ".safetensors");
  CheckpointRecord record{position, 0, 0};
  TRY(write_safetensors(file, states, {}, &record.checksum));
  std::error_code error;
  record.bytes = static_cast<int64_t>(fs::file_size(file, error));
  if (error) return io_error(fmt::format("{}: {}", file, error.message()));
  TRY(write_file_atomically(path("step", position.step, ".json"), to_json(record)));
  rotate();
  return {};
}

// Of a checkpoint the JSON goes first: without it the rest is not a checkpoint. What cannot be removed stays.
void CheckpointStore::rotate() {
  std::vector<int64_t> kept = steps();
  std::error_code ignored;
  for (size_t i = kKept; i < kept.size(); ++i) fs::remove(path("step", kept[i], ".json"), ignored);
  kept.resize(std::min(kept.size(), kKept));
  std::set<int64_t> best;
  for (const int64_t step : kept) {
    const Result<std::string> text = read_file(path("step", step, ".json"), kMaxJsonBytes);
    if (!text.ok()) continue;
    const Result<CheckpointRecord> record = parse_checkpoint_json(*text);
    if (record.ok() && record->position.best) best.insert(record->position.best_step);
  }
  for (const std::string& name : names_in(folder_)) {
    const auto state = step_of(name, "step", ".safetensors"), weights = step_of(name, "best", ".safetensors");
    const bool orphan = state && std::ranges::find(kept, *state) == kept.end();
    if (orphan || (weights && !best.contains(*weights))) fs::remove(folder_ + "/" + name, ignored);
  }
}

Status CheckpointStore::save_best(int64_t step, const NamedTensors& weights) {
  return write_safetensors(path("best", step, ".safetensors"), weights);
}

Result<NamedTensors> CheckpointStore::read_best(int64_t step, const Limits& limits) const {
  return TRY(read_safetensors(path("best", step, ".safetensors"), limits)).tensors;
}

Result<Checkpoint> CheckpointStore::read(int64_t step, const Limits& limits) const {
  const std::string json_path = path("step", step, ".json"), file = path("step", step, ".safetensors");
  const Result<CheckpointRecord> record = parse_checkpoint_json(TRY(read_file(json_path, kMaxJsonBytes)));
  if (!record.ok()) return with_prefix(json_path + ": ", record.error());
  const FileSum sum = TRY(sum_of(file));
  if (record->position.step != step)
    return invalid_input(fmt::format("{}: is of step {}", json_path, record->position.step));
  if (sum.bytes != record->bytes || sum.crc != record->checksum) {
    return invalid_input(
        fmt::format("{}: is damaged: {} bytes with checksum {:08x}, written were {} with {:08x}", file,
                    sum.bytes, sum.crc, record->bytes, record->checksum));
  }
  Checkpoint checkpoint{record->position, {}};
  checkpoint.states = TRY(read_safetensors(file, limits)).tensors;
  return checkpoint;
}

Result<std::optional<Checkpoint>> CheckpointStore::latest(std::vector<std::string>& damaged,
                                                          const Limits& limits) const {
  for (const int64_t step : steps()) {
    Result<Checkpoint> checkpoint = read(step, limits);
    if (checkpoint.ok()) return std::optional(*std::move(checkpoint));
    damaged.push_back(checkpoint.error().message);
  }
  return std::optional<Checkpoint>();
}

Status check_same_run(const TrainingPosition& there, const TrainingPosition& here, std::string_view other) {
  if (there.model != here.model)
    return invalid_input(fmt::format("the checkpoint is of {}: {} there, {} here", other, there.model, here.model));
  for (const auto& [name, value] : here.options) {
    const auto found = there.options.find(name);
    const std::string was = found == there.options.end() ? "not given" : found->second;
    if (was != value)
      return invalid_input(fmt::format("the checkpoint was made with {} {}, this run has {}", name, was, value));
  }
  if (there.seed == here.seed) return {};
  return invalid_input(
      fmt::format("the checkpoint was made with --seed {}, this run has {}", there.seed, here.seed));
}

Result<std::string> file_identity(const std::string& path) {
  const FileSum sum = TRY(sum_of(path));
  return fmt::format("crc32c {:08x} of {} bytes", sum.crc, sum.bytes);
}

}  // namespace gannet
