#include "runtime/core/artifact.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstring>

#include "ir/base/check.h"
#include "ir/base/file.h"
#include "ir/base/limits.h"
#include "ir/named_target.h"
#include "runtime/core/crc32c.h"
#include "runtime/core/program_check.h"
#include "runtime/core/program_fields.h"
#include "runtime/threads/threads.h"

namespace gannet {
namespace {

constexpr std::array<uint8_t, 8> kMagic = {0x89, 'G', 'A', 'N', 'N', 'E', 'T', '\n'};
constexpr std::array<std::string_view, 3> kSectionNames = {"description", "weights", "code"};

struct SectionEntry {
  uint32_t kind = 0;
  uint32_t checksum = 0;
  uint64_t offset = 0;
  uint64_t size = 0;
};

struct Header {
  uint32_t format = kArtifactFormat;
  uint32_t count = kSectionNames.size();
  uint64_t file_bytes = 0;
  std::array<SectionEntry, kSectionNames.size()> sections;
};

template <class A>
void fields(A& a, Header& header) {
  a(header.format, header.count, header.file_bytes);
  for (SectionEntry& entry : header.sections) a(entry.kind, entry.checksum, entry.offset, entry.size);
}

constexpr size_t kHeaderBytes = kMagic.size() + 16 + 24 * kSectionNames.size() + 4;

uint64_t rounded_up(uint64_t bytes) { return (bytes + DataSection::kAlignment - 1) / DataSection::kAlignment * DataSection::kAlignment; }

// Sections are summed up, and where the file allows written, in parts by as many threads as there are.
constexpr uint64_t kPart = uint64_t{8} << 20;

uint64_t part_count(uint64_t bytes) { return (bytes + kPart - 1) / kPart; }

// The checksum of a section: that of the checksums of its parts.
uint32_t joined(std::span<const uint32_t> parts) {
  static_assert(std::endian::native == std::endian::little);
  return crc32c({reinterpret_cast<const uint8_t*>(parts.data()), parts.size_bytes()});
}

// Calls body(part) for every part of [0, count), which it takes on any thread; the error of one that failed.
template <class Body>
Status for_each_part(size_t count, const Body& body) {
  if (count <= 1) return count == 1 ? body(size_t{0}) : Status();
  const Threads threads;
  const auto workers = static_cast<int>(std::clamp<size_t>(count, 1, static_cast<size_t>(threads.count())));
  std::atomic<size_t> next = 0;
  std::vector<Status> results(static_cast<size_t>(workers));
  threads.parallel_for(workers, workers, [&](int64_t begin, int64_t end, int) {
    for (int64_t worker = begin; worker < end; ++worker) {
      Status& result = results[static_cast<size_t>(worker)];
      for (size_t part = next++; part < count && result.ok(); part = next++) result = body(part);
    }
  });
  for (Status& result : results) TRY(std::move(result));
  return {};
}

uint32_t checksum_of(std::span<const uint8_t> bytes) {
  std::vector<uint32_t> parts(part_count(bytes.size()));
  const Status summed = for_each_part(parts.size(), [&](size_t i) {
    parts[i] = crc32c(bytes.subspan(i * kPart, std::min(kPart, bytes.size() - i * kPart)));
    return Status();
  });
  CHECK(summed.ok(), "summing up bytes cannot fail");
  return joined(parts);
}

// Calls visit(position, bytes) for what stands between `begin` and `end` of the section, gaps as zeros.
template <class Visitor>
Status for_each_piece(const DataSection& section, uint64_t begin, uint64_t end, const Visitor& visit) {
  static constexpr std::array<uint8_t, DataSection::kAlignment> kZeros{};
  const auto ends_before = [](const DataSection::Block& block, uint64_t position) { return block.offset + block.size <= position; };
  uint64_t at = begin;
  for (auto block = std::lower_bound(section.blocks.begin(), section.blocks.end(), begin, ends_before); at < end; ++block) {
    if (at < block->offset) {
      const uint64_t gap = std::min(block->offset, end) - at;
      TRY(visit(at, std::span(kZeros).first(gap)));
      at += gap;
    }
    const uint64_t last = std::min(block->offset + block->size, end);
    if (at >= last) continue;
    TRY(visit(at, std::span(static_cast<const uint8_t*>(block->data) + (at - block->offset), last - at)));
    at = last;
  }
  return {};
}

// A file under construction: its sections in order and where they stand.
struct Image {
  std::array<const DataSection*, kSectionNames.size()> sections;
  Header header;

  void place() {
    uint64_t at = kHeaderBytes;
    for (size_t i = 0; i < sections.size(); ++i) {
      header.sections[i] = {static_cast<uint32_t>(i), 0, rounded_up(at), sections[i]->bytes};
      at = header.sections[i].offset + sections[i]->bytes;
    }
    header.file_bytes = at;
  }

  // Sums up all sections; with a file, writes them as well.
  Status sum_up(const AtomicFile* file) {
    for (size_t i = 0; i < sections.size(); ++i) {
      const DataSection& section = *sections[i];
      SectionEntry& entry = header.sections[i];
      std::vector<uint32_t> parts(part_count(section.bytes), 0);
      TRY(for_each_part(parts.size(), [&](size_t part) {
        return for_each_piece(section, part * kPart, std::min((part + 1) * kPart, section.bytes), [&](uint64_t at, std::span<const uint8_t> bytes) {
          parts[part] = crc32c(bytes, parts[part]);
          return file ? file->write_at(static_cast<int64_t>(entry.offset + at), bytes) : Status();
        });
      }));
      entry.checksum = joined(parts);
    }
    return {};
  }

  std::vector<uint8_t> head() {
    ArchiveData none;
    ArchiveWriter writer(none);
    writer.put_bytes(kMagic.data(), kMagic.size());
    writer(header);
    writer(crc32c(writer.bytes));
    return std::move(writer.bytes);
  }

  Status write(AtomicFile& file) {
    const bool anywhere = file.is_seekable();
    TRY(sum_up(anywhere ? &file : nullptr));
    std::vector<uint8_t> begin = head();
    begin.resize(header.sections[0].offset, 0);
    if (anywhere) {
      TRY(file.extend_to(static_cast<int64_t>(header.file_bytes)));
      return file.write_at(0, begin);
    }
    TRY(file.write(begin));
    for (size_t i = 0; i < sections.size(); ++i) {
      const std::vector<uint8_t> padding(header.sections[i].offset - static_cast<uint64_t>(file.size()), 0);
      TRY(file.write(padding));
      TRY(for_each_piece(*sections[i], 0, sections[i]->bytes, [&](uint64_t, std::span<const uint8_t> bytes) { return file.write(bytes); }));
    }
    return {};
  }
};

Result<Header> read_header(std::span<const uint8_t> bytes) {
  const size_t given = std::min(bytes.size(), kMagic.size());
  if (given == 0 || std::memcmp(bytes.data(), kMagic.data(), given) != 0) return invalid_input("it is no compiled model");
  ArchiveData none;
  Header header;
  if (bytes.size() >= kMagic.size() + 4) {
    ArchiveReader(bytes.subspan(kMagic.size(), 4), none)(header.format);
    if (header.format != kArtifactFormat) {
      return unsupported(fmt::format("it has format {}, this program reads format {}: compile the model anew", header.format, kArtifactFormat));
    }
  }
  if (bytes.size() < kHeaderBytes) return invalid_input(fmt::format("it is cut off: {} bytes are left of its header of {}", bytes.size(), kHeaderBytes));
  ArchiveReader reader(bytes.subspan(kMagic.size(), kHeaderBytes - kMagic.size()), none);
  uint32_t checksum = 0;
  reader(header, checksum);
  if (checksum != crc32c(bytes.first(kHeaderBytes - 4))) return invalid_input("its header is damaged");
  if (bytes.size() < header.file_bytes) return invalid_input(fmt::format("it is cut off: {} of {} bytes are left", bytes.size(), header.file_bytes));
  if (bytes.size() > header.file_bytes) return invalid_input(fmt::format("it has {} bytes, {} were written", bytes.size(), header.file_bytes));
  return header;
}

// The sections in the order of their kinds, with checksums that agree and nothing but zeros between them.
Result<std::array<std::span<const uint8_t>, kSectionNames.size()>> read_sections(std::span<const uint8_t> bytes, const Header& header) {
  std::array<std::span<const uint8_t>, kSectionNames.size()> sections;
  if (header.count != sections.size()) return invalid_input(fmt::format("it has {} sections, {} are expected", header.count, sections.size()));
  uint64_t at = kHeaderBytes;
  for (size_t i = 0; i < sections.size(); ++i) {
    const SectionEntry& entry = header.sections[i];
    const bool fits = entry.kind == i && entry.offset == rounded_up(at) && entry.offset <= bytes.size() && entry.size <= bytes.size() - entry.offset;
    if (!fits) return invalid_input(fmt::format("its {} is {} bytes at {} of {}", kSectionNames[i], entry.size, entry.offset, bytes.size()));
    sections[i] = bytes.subspan(entry.offset, entry.size);
    const auto padding = bytes.subspan(at, entry.offset - at);
    const bool clean = std::ranges::all_of(padding, [](uint8_t byte) { return byte == 0; });
    if (!clean || checksum_of(sections[i]) != entry.checksum) return invalid_input(fmt::format("its {} is damaged", kSectionNames[i]));
    at = entry.offset + entry.size;
  }
  if (at != bytes.size()) return invalid_input(fmt::format("its sections end at {} of {} bytes", at, bytes.size()));
  return sections;
}

// The description of a file, down to the programs, which are read one by one.
struct DescribedProgram {
  std::string target, needed;
  std::string program;
  std::string training;  // empty: there is none
};

struct Description {
  std::string compilation;
  std::vector<DescribedProgram> programs;
};

template <class A>
void fields(A& a, DescribedProgram& program) {
  a(program.target, program.needed, program.program, program.training);
}
template <class A>
void fields(A& a, Description& description) {
  a(description.compilation, description.programs);
}

// What has gone wrong with `reader`, or that it has not read all.
Status all_read(ArchiveReader& reader) {
  if (!reader.failed() && reader.left() > 0)
    reader.fail(fmt::format("{} bytes are left over", reader.left()));
  return reader.failed() ? Status(invalid_input("its description cannot be used: " + reader.problem))
                         : Status();
}

// Checks `bytes`, which `owner` keeps, and makes `data` what programs refer to.
Result<Description> read_description(std::span<const uint8_t> bytes, std::shared_ptr<const void> owner,
                                     ArchiveData& data) {
  const Header header = TRY(read_header(bytes));
  const auto sections = TRY(read_sections(bytes, header));
  data.weights.mapped = sections[1];
  data.code.mapped = sections[2];
  data.owner = std::move(owner);
  ArchiveReader reader(sections[0], data);
  Description description;
  reader(description);
  TRY(all_read(reader));
  if (description.programs.empty()) return invalid_input("its description cannot be used: it has no program");
  return description;
}

std::span<const uint8_t> bytes_of(const std::string& text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }

template <class T>
std::string archived(const T& value, ArchiveData& data) {
  ArchiveWriter writer(data);
  writer(value);
  return {writer.bytes.begin(), writer.bytes.end()};
}

Result<std::shared_ptr<const Program>> read_program(const DescribedProgram& described, ArchiveData& data) {
  ArchiveReader reader(bytes_of(described.program), data);
  std::shared_ptr<const Program> program;
  reader(program);
  TRY(all_read(reader));
  if (Status status = check_program(*program); !status.ok()) return with_prefix("its description contradicts itself: ", status.error());
  return program;
}

Result<TargetProgram> read_target_program(const DescribedProgram& described, ArchiveData& data) {
  std::shared_ptr<const Program> program = TRY(read_program(described, data));
  TargetProgram made{described.target, described.needed, std::move(program)};
  if (described.training.empty()) return made;
  ArchiveReader reader(bytes_of(described.training), data);
  auto part = std::make_shared<TrainingPart>();
  reader(*part);
  TRY(all_read(reader));
  TRY(check_training_part(*part, *made.program));
  made.training = std::move(part);
  return made;
}

// The first program that this machine can run.
Result<const DescribedProgram*> program_for_machine(const Description& description) {
  const Target machine = host_target();
  std::string targets;
  for (const DescribedProgram& program : description.programs) {
    const std::optional<Target> needed = find_target(program.needed);
    if (needed && covers(machine, *needed)) return &program;
    targets += (targets.empty() ? "" : ", ") + program.needed;
  }
  return unsupported(fmt::format("it is for {}, this machine is {}: compile the model with --target", targets, target_name(machine)));
}

Result<TargetProgram> read_trainable(const MappedFile& file) {
  ArchiveData data;
  const Description description = TRY(read_description(file.bytes(), file.owner(), data));
  const DescribedProgram* described = TRY(program_for_machine(description));
  if (described->training.empty()) return invalid_input("it has no training part: compile it with --train");
  return read_target_program(*described, data);
}

}  // namespace

Status write_artifact(const std::string& path, const Artifact& artifact) {
  ArchiveData data;
  Description described{artifact.compilation, {}};
  for (const TargetProgram& made : artifact.programs) {
    described.programs.push_back({made.target, made.needed, archived(*made.program, data), made.training ? archived(*made.training, data) : ""});
  }
  ArchiveWriter writer(data);
  writer(described);
  DataSection description;
  description.add(writer.bytes.data(), writer.bytes.size());
  Image image{{&description, &data.weights, &data.code}, {}};
  image.place();
  return write_file_atomically(path, [&](AtomicFile& file) { return image.write(file); });
}

Status write_artifact(const std::string& path, std::shared_ptr<const Program> program) {
  const std::string target(target_name(host_target()));
  Artifact artifact;
  artifact.programs.push_back({target, target, std::move(program)});
  return write_artifact(path, artifact);
}

Result<std::shared_ptr<const Program>> read_artifact(std::span<const uint8_t> bytes,
                                                     std::shared_ptr<const void> owner) {
  ArchiveData data;
  const Description description = TRY(read_description(bytes, std::move(owner), data));
  return read_program(*TRY(program_for_machine(description)), data);
}

Result<std::shared_ptr<const Program>> read_artifact(const std::string& path) {
  const MappedFile file = TRY(MappedFile::open(path, Limits().file_bytes));
  Result<std::shared_ptr<const Program>> program = read_artifact(file.bytes(), file.owner());
  if (!program.ok()) return with_prefix(path + ": ", program.error());
  return program;
}

Result<TargetProgram> read_trainable_artifact(const std::string& path) {
  const MappedFile file = TRY(MappedFile::open(path, Limits().file_bytes));
  Result<TargetProgram> program = read_trainable(file);
  if (!program.ok()) return with_prefix(path + ": ", program.error());
  return program;
}

Result<Artifact> read_whole_artifact(const std::string& path) {
  const MappedFile file = TRY(MappedFile::open(path, Limits().file_bytes));
  ArchiveData data;
  Result<Description> description = read_description(file.bytes(), file.owner(), data);
  if (!description.ok()) return with_prefix(path + ": ", description.error());
  Artifact artifact{{}, std::move(description->compilation)};
  for (const DescribedProgram& described : description->programs) {
    Result<TargetProgram> program = read_target_program(described, data);
    if (!program.ok()) return with_prefix(path + ": ", program.error());
    artifact.programs.push_back(*std::move(program));
  }
  return artifact;
}

bool is_artifact(const std::string& path) {
  const Result<ReadableFile> file = ReadableFile::open(path);
  std::array<uint8_t, kMagic.size()> start{};
  return file.ok() && file->read_at(0, start).ok() && start == kMagic;
}

}  // namespace gannet
