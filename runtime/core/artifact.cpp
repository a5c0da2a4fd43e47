#include "runtime/core/artifact.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "ir/base/file.h"
#include "ir/base/limits.h"
#include "runtime/core/crc32c.h"
#include "runtime/core/program_check.h"
#include "runtime/core/program_fields.h"

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

// Calls `visit` with the bytes of the section, piece by piece.
template <class Visitor>
Status for_each_piece(const DataSection& section, Visitor visit) {
  static constexpr std::array<uint8_t, DataSection::kAlignment> kZeros{};
  uint64_t at = 0;
  for (const DataSection::Block& block : section.blocks) {
    TRY(visit(std::span(kZeros).first(block.offset - at)));
    TRY(visit(std::span(static_cast<const uint8_t*>(block.data), block.size)));
    at = block.offset + block.size;
  }
  return {};
}

Result<uint32_t> checksum_of(const DataSection& section) {
  uint32_t checksum = 0;
  TRY(for_each_piece(section, [&](std::span<const uint8_t> bytes) {
    checksum = crc32c(bytes, checksum);
    return Status();
  }));
  return checksum;
}

Status write_padding(AtomicFile& file, uint64_t size) {
  static constexpr std::array<uint8_t, DataSection::kAlignment> kZeros{};
  return file.write(std::span(kZeros).first(size));
}

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
    if (!clean || crc32c(sections[i]) != entry.checksum) return invalid_input(fmt::format("its {} is damaged", kSectionNames[i]));
    at = entry.offset + entry.size;
  }
  if (at != bytes.size()) return invalid_input(fmt::format("its sections end at {} of {} bytes", at, bytes.size()));
  return sections;
}

Result<std::shared_ptr<const Program>> read_program(const MappedFile& file) {
  const Header header = TRY(read_header(file.bytes()));
  const auto sections = TRY(read_sections(file.bytes(), header));
  ArchiveData data;
  data.weights.mapped = sections[1];
  data.code.mapped = sections[2];
  data.owner = file.owner();
  ArchiveReader reader(sections[0], data);
  std::shared_ptr<const Program> program;
  reader(program);
  if (!reader.failed() && reader.left() > 0) reader.fail(fmt::format("{} bytes are left over", reader.left()));
  if (reader.failed()) return invalid_input("its description cannot be used: " + reader.problem);
  if (Status status = check_program(*program); !status.ok()) return with_prefix("its description contradicts itself: ", status.error());
  return program;
}

}  // namespace

Status write_artifact(const std::string& path, const Program& program) {
  ArchiveData data;
  ArchiveWriter description(data);
  description(program);
  Header header;
  const std::array<uint64_t, kSectionNames.size()> sizes = {description.bytes.size(), data.weights.bytes, data.code.bytes};
  const std::array<uint32_t, kSectionNames.size()> checksums = {crc32c(description.bytes), TRY(checksum_of(data.weights)),
                                                               TRY(checksum_of(data.code))};
  uint64_t at = kHeaderBytes;
  for (size_t i = 0; i < sizes.size(); ++i) {
    header.sections[i] = {static_cast<uint32_t>(i), checksums[i], rounded_up(at), sizes[i]};
    at = header.sections[i].offset + sizes[i];
  }
  header.file_bytes = at;
  ArchiveWriter head(data);
  head.put_bytes(kMagic.data(), kMagic.size());
  head(header);
  head(crc32c(head.bytes));
  return write_file_atomically(path, [&](AtomicFile& file) -> Status {
    auto write = [&](std::span<const uint8_t> bytes) { return file.write(bytes); };
    auto fill = [&](size_t section) { return write_padding(file, header.sections[section].offset - static_cast<uint64_t>(file.size())); };
    TRY(write(head.bytes));
    TRY(fill(0));
    TRY(write(description.bytes));
    TRY(fill(1));
    TRY(for_each_piece(data.weights, write));
    TRY(fill(2));
    return for_each_piece(data.code, write);
  });
}

Result<std::shared_ptr<const Program>> read_artifact(const std::string& path) {
  const MappedFile file = TRY(MappedFile::open(path, Limits().file_bytes));
  Result<std::shared_ptr<const Program>> program = read_program(file);
  if (!program.ok()) return with_prefix(path + ": ", program.error());
  return program;
}

bool is_artifact(const std::string& path) {
  const Result<ReadableFile> file = ReadableFile::open(path);
  std::array<uint8_t, kMagic.size()> start{};
  return file.ok() && file->read_at(0, start).ok() && start == kMagic;
}

}  // namespace gannet
