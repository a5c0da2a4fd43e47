// Format: PKWARE APPNOTE.TXT 6.3, sections 4.3 (records) and 4.5.3 (zip64 extra field).
#include "runtime/data/zip.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <unordered_set>

namespace gannet {
namespace {

constexpr uint32_t kLocalSignature = 0x04034b50;
constexpr uint32_t kCentralSignature = 0x02014b50;
constexpr uint32_t kEndSignature = 0x06054b50;
constexpr uint32_t kEnd64Signature = 0x06064b50;
constexpr uint32_t kEnd64LocatorSignature = 0x07064b50;
constexpr int64_t kEndBytes = 22;
constexpr int64_t kEnd64Bytes = 56;
constexpr int64_t kEnd64LocatorBytes = 20;
constexpr int64_t kCentralBytes = 46;
constexpr int64_t kLocalBytes = 30;
constexpr uint32_t kInHeader64 = 0xffffffff;
constexpr uint16_t kZip64Tag = 1;
constexpr uint16_t kFixedDate = 0x0021;  // 1 January 1980
constexpr uint16_t kVersion = 45;        // the first with zip64
constexpr uint16_t kUtf8Flag = 0x0800;
constexpr uint16_t kEncryptedFlag = 0x0001;
// A deflate stream gives at most 258 bytes for two bits, hence at most 1032 for a byte.
constexpr int64_t kDeflateRatio = 1032;
constexpr int64_t kMaxDirectoryBytes = int64_t{1} << 30;

uint64_t little(std::span<const uint8_t> bytes, size_t offset, size_t width) {
  uint64_t value = 0;
  for (size_t i = 0; i < width; ++i) value |= uint64_t{bytes[offset + i]} << (8 * i);
  return value;
}
uint16_t u16(std::span<const uint8_t> bytes, size_t offset) {
  return static_cast<uint16_t>(little(bytes, offset, 2));
}
uint32_t u32(std::span<const uint8_t> bytes, size_t offset) {
  return static_cast<uint32_t>(little(bytes, offset, 4));
}
uint64_t u64(std::span<const uint8_t> bytes, size_t offset) { return little(bytes, offset, 8); }

void append(std::string& out, uint64_t value, int width) {
  for (int i = 0; i < width; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}

Error damaged(std::string what) { return invalid_input("damaged zip archive: " + std::move(what)); }

Result<std::vector<uint8_t>> read_block(const ReadableFile& file, int64_t offset, int64_t size) {
  if (offset < 0 || size < 0 || offset > file.size() || size > file.size() - offset) {
    return damaged(fmt::format("{} bytes at {} of a file of {} bytes", size, offset, file.size()));
  }
  std::vector<uint8_t> block(static_cast<size_t>(size));
  TRY(file.read_at(offset, block));
  return block;
}

struct Directory {
  uint64_t offset = 0;
  uint64_t bytes = 0;
  uint64_t members = 0;
};

// The zip64 record before the end record at `end`, if there is one.
Result<std::optional<Directory>> find_directory64(const ReadableFile& file, int64_t end) {
  if (end < kEnd64LocatorBytes) return std::optional<Directory>();
  std::vector<uint8_t> locator = TRY(read_block(file, end - kEnd64LocatorBytes, kEnd64LocatorBytes));
  if (u32(locator, 0) != kEnd64LocatorSignature) return std::optional<Directory>();
  uint64_t offset = u64(locator, 8);
  if (offset > static_cast<uint64_t>(file.size())) return damaged("the zip64 record lies outside the file");
  std::vector<uint8_t> record = TRY(read_block(file, static_cast<int64_t>(offset), kEnd64Bytes));
  if (u32(record, 0) != kEnd64Signature) return damaged("the zip64 record has a wrong signature");
  return std::optional<Directory>(Directory{u64(record, 48), u64(record, 40), u64(record, 32)});
}

// The end record is the last thing in the file but for a comment of at most 65535 bytes.
Result<Directory> find_directory(const ReadableFile& file) {
  int64_t tail_bytes = std::min<int64_t>(file.size(), kEndBytes + 65535);
  std::vector<uint8_t> tail = TRY(read_block(file, file.size() - tail_bytes, tail_bytes));
  for (int64_t at = tail_bytes - kEndBytes; at >= 0; --at) {
    size_t start = static_cast<size_t>(at);
    if (u32(tail, start) != kEndSignature || at + kEndBytes + u16(tail, start + 20) != tail_bytes) continue;
    int64_t end = file.size() - tail_bytes + at;
    std::optional<Directory> directory64 = TRY(find_directory64(file, end));
    if (directory64) return *directory64;
    if (u16(tail, start + 4) != 0) return unsupported("the zip archive is in several parts");
    return Directory{u32(tail, start + 16), u32(tail, start + 12), u16(tail, start + 10)};
  }
  std::vector<uint8_t> start = TRY(read_block(file, 0, std::min<int64_t>(file.size(), 2)));
  bool begins_as_zip = start.size() == 2 && start[0] == 'P' && start[1] == 'K';
  if (!begins_as_zip) return invalid_input("not a zip archive (.npz)");
  return damaged("no central directory at its end (a truncated file?)");
}

// Replaces the fields of `member` that are kept in its zip64 extra field.
Status apply_zip64(std::span<const uint8_t> extra, ZipMember& member, std::span<const bool, 3> wanted) {
  size_t at = 0;
  while (extra.size() - at >= 4) {
    uint16_t tag = u16(extra, at), length = u16(extra, at + 2);
    at += 4;
    if (length > extra.size() - at) break;
    if (tag == kZip64Tag) {
      std::array<int64_t*, 3> fields = {&member.bytes, &member.packed_bytes, &member.header_offset};
      size_t position = at;
      for (size_t i = 0; i < fields.size(); ++i) {
        if (!wanted[i]) continue;
        if (position + 8 > at + length)
          return damaged(fmt::format("member '{}': short zip64 field", member.name));
        uint64_t value = u64(extra, position);
        if (value > std::numeric_limits<int64_t>::max()) {
          return damaged(fmt::format("member '{}': size {}", member.name, value));
        }
        *fields[i] = static_cast<int64_t>(value);
        position += 8;
      }
      return {};
    }
    at += length;
  }
  return damaged(fmt::format("member '{}': no zip64 field", member.name));
}

// The member whose directory entry starts at `at`, which is moved behind it.
Result<ZipMember> parse_member(std::span<const uint8_t> directory, size_t& at) {
  if (directory.size() - at < kCentralBytes || u32(directory, at) != kCentralSignature) {
    return damaged(fmt::format("no member at {} of the central directory", at));
  }
  std::span<const uint8_t> entry = directory.subspan(at);
  size_t name_bytes = u16(entry, 28), extra_bytes = u16(entry, 30), comment_bytes = u16(entry, 32);
  size_t total = kCentralBytes + name_bytes + extra_bytes + comment_bytes;
  if (entry.size() < total) return damaged("the central directory ends inside a member");
  ZipMember member;
  member.name.assign(reinterpret_cast<const char*>(entry.data()) + kCentralBytes, name_bytes);
  member.method = u16(entry, 10);
  member.crc = u32(entry, 16);
  uint32_t packed = u32(entry, 20), bytes = u32(entry, 24), offset = u32(entry, 42);
  member.packed_bytes = packed;
  member.bytes = bytes;
  member.header_offset = offset;
  if (u16(entry, 8) & kEncryptedFlag)
    return unsupported(fmt::format("member '{}' is encrypted", member.name));
  if (member.method != 0 && member.method != 8) {
    return unsupported(
        fmt::format("member '{}' uses compression method {}; only stored (0) and deflated (8) "
                    "members are read",
                    member.name, member.method));
  }
  std::array<bool, 3> wanted = {bytes == kInHeader64, packed == kInHeader64, offset == kInHeader64};
  if (wanted[0] || wanted[1] || wanted[2]) {
    TRY(apply_zip64(entry.subspan(kCentralBytes + name_bytes, extra_bytes), member, wanted));
  }
  at += total;
  return member;
}

Status check_sizes(const ReadableFile& file, const ZipMember& member) {
  if (member.header_offset > file.size() || member.packed_bytes > file.size() - member.header_offset) {
    return damaged(fmt::format("member '{}': {} bytes at {} of a file of {} bytes", member.name,
                               member.packed_bytes, member.header_offset, file.size()));
  }
  if (member.method == 0 && member.bytes != member.packed_bytes) {
    return damaged(fmt::format("member '{}': stored, but with {} bytes packed and {} unpacked", member.name,
                               member.packed_bytes, member.bytes));
  }
  if (member.method == 8 && member.bytes / kDeflateRatio > member.packed_bytes) {
    return damaged(fmt::format("member '{}': {} bytes cannot unpack to {}", member.name, member.packed_bytes,
                               member.bytes));
  }
  return {};
}

// The bytes of one member in order, unpacked, with their checksum.
class MemberStream {
 public:
  MemberStream(const ReadableFile& file, const ZipMember& member, int64_t offset)
      : file_(file), member_(member), offset_(offset), packed_left_(member.packed_bytes) {}
  MemberStream(const MemberStream&) = delete;
  ~MemberStream() {
    if (inflating_) inflateEnd(&zlib_);
  }

  Status start() {
    if (member_.method == 0) return {};
    if (inflateInit2(&zlib_, -MAX_WBITS) != Z_OK) return io_error("zlib has no memory");
    inflating_ = true;
    return {};
  }

  Status read(std::span<uint8_t> out) {
    if (static_cast<int64_t>(out.size()) > member_.bytes - done_) {
      return damaged(fmt::format("member '{}' ends after {} bytes", member_.name, member_.bytes));
    }
    TRY(member_.method == 0 ? read_stored(out) : read_deflated(out));
    done_ += static_cast<int64_t>(out.size());
    checksum_ = static_cast<uint32_t>(crc32_z(checksum_, out.data(), out.size()));
    return {};
  }

  // Reads what is left and compares size and checksum with the directory.
  Status finish() {
    std::array<uint8_t, 16384> rest;
    while (done_ < member_.bytes) {
      TRY(read(
          std::span(rest).first(std::min<size_t>(rest.size(), static_cast<size_t>(member_.bytes - done_)))));
    }
    if (checksum_ != member_.crc) {
      return damaged(
          fmt::format("member '{}': checksum {:08x}, expected {:08x}", member_.name, checksum_, member_.crc));
    }
    return {};
  }

 private:
  Status read_stored(std::span<uint8_t> out) {
    TRY(file_.read_at(offset_, out));
    offset_ += static_cast<int64_t>(out.size());
    return {};
  }

  Status read_deflated(std::span<uint8_t> out) {
    while (!out.empty()) {
      if (zlib_.avail_in == 0) TRY(refill());
      uInt wanted = static_cast<uInt>(std::min<size_t>(out.size(), size_t{1} << 30));
      zlib_.next_out = out.data();
      zlib_.avail_out = wanted;
      int code = inflate(&zlib_, Z_NO_FLUSH);
      size_t given = wanted - zlib_.avail_out;
      out = out.subspan(given);
      if (code == Z_STREAM_END && !out.empty()) {
        return damaged(
            fmt::format("member '{}' unpacks to fewer than {} bytes", member_.name, member_.bytes));
      }
      bool starved = code == Z_BUF_ERROR && zlib_.avail_in == 0 && packed_left_ > 0;
      if (code != Z_OK && code != Z_STREAM_END && !starved) {
        return damaged(fmt::format("member '{}': {}", member_.name,
                                   zlib_.msg ? zlib_.msg : "the deflate data ends early"));
      }
    }
    return {};
  }

  Status refill() {
    size_t count = static_cast<size_t>(std::min<int64_t>(packed_left_, static_cast<int64_t>(packed_.size())));
    TRY(file_.read_at(offset_, std::span(packed_).first(count)));
    offset_ += static_cast<int64_t>(count);
    packed_left_ -= static_cast<int64_t>(count);
    zlib_.next_in = packed_.data();
    zlib_.avail_in = static_cast<uInt>(count);
    return {};
  }

  const ReadableFile& file_;
  const ZipMember& member_;
  int64_t offset_;
  int64_t packed_left_;
  int64_t done_ = 0;
  uint32_t checksum_ = 0;
  bool inflating_ = false;
  z_stream zlib_ = {};
  std::array<uint8_t, 65536> packed_;
};

// The extra field that holds what does not fit into 32 bits; empty when all of it does.
std::string zip64_extra(std::span<const int64_t> large) {
  std::string extra;
  if (large.empty()) return extra;
  append(extra, kZip64Tag, 2);
  append(extra, 8 * large.size(), 2);
  for (int64_t value : large) append(extra, static_cast<uint64_t>(value), 8);
  return extra;
}

// What local header and directory entry share, from the version needed to the length of the extra field.
std::string shared_header(const ZipMember& member, bool large, size_t extra_bytes) {
  std::string header;
  append(header, kVersion, 2);
  append(header, kUtf8Flag, 2);
  append(header, member.method, 2);
  append(header, 0, 2);
  append(header, kFixedDate, 2);
  append(header, member.crc, 4);
  append(header, large ? kInHeader64 : static_cast<uint64_t>(member.packed_bytes), 4);
  append(header, large ? kInHeader64 : static_cast<uint64_t>(member.bytes), 4);
  append(header, member.name.size(), 2);
  append(header, extra_bytes, 2);
  return header;
}

bool needs_64_bits(const ZipMember& member) { return member.bytes >= kInHeader64; }

}  // namespace

Result<std::vector<ZipMember>> list_zip(const ReadableFile& file) {
  Directory place = TRY(find_directory(file));
  uint64_t file_bytes = static_cast<uint64_t>(file.size());
  if (place.offset > file_bytes || place.bytes > file_bytes - place.offset) {
    return damaged(fmt::format("the central directory has {} bytes at {} of a file of {} bytes", place.bytes,
                               place.offset, file.size()));
  }
  if (place.bytes > kMaxDirectoryBytes)
    return unsupported(fmt::format("a central directory of {} bytes", place.bytes));
  std::vector<uint8_t> directory =
      TRY(read_block(file, static_cast<int64_t>(place.offset), static_cast<int64_t>(place.bytes)));
  std::vector<ZipMember> members;
  std::unordered_set<std::string> names;
  int64_t packed_total = 0;
  for (size_t at = 0; at < directory.size();) {
    ZipMember member = TRY(parse_member(directory, at));
    TRY(check_sizes(file, member));
    // Members that share packed bytes multiply a small file into a large one.
    packed_total += member.packed_bytes;
    if (packed_total > file.size()) return damaged("its members overlap");
    if (!names.insert(member.name).second)
      return damaged(fmt::format("two members are named '{}'", member.name));
    members.push_back(std::move(member));
  }
  if (members.size() != place.members) {
    return damaged(fmt::format("{} members where its end record says {}", members.size(), place.members));
  }
  return members;
}

Status read_zip_member(
    const ReadableFile& file, const ZipMember& member,
    const std::function<Status(const std::function<Status(std::span<uint8_t>)>&)>& consume) {
  std::vector<uint8_t> header = TRY(read_block(file, member.header_offset, kLocalBytes));
  if (u32(header, 0) != kLocalSignature) {
    return damaged(fmt::format("member '{}' has no header at {}", member.name, member.header_offset));
  }
  int64_t offset = member.header_offset + kLocalBytes + u16(header, 26) + u16(header, 28);
  if (offset > file.size() || member.packed_bytes > file.size() - offset) {
    return damaged(fmt::format("member '{}': {} bytes at {} of a file of {} bytes", member.name,
                               member.packed_bytes, offset, file.size()));
  }
  MemberStream stream(file, member, offset);
  TRY(stream.start());
  TRY(consume([&stream](std::span<uint8_t> out) { return stream.read(out); }));
  return stream.finish();
}

Status ZipWriter::add(const std::string& name, const std::function<Status(const Sink&)>& serialize) {
  if (name.empty() || name.size() > 65535) {
    return invalid_input(
        fmt::format("a member name of {} bytes; a zip archive allows 1 to 65535", name.size()));
  }
  ZipMember member;
  member.name = name;
  member.header_offset = file_.size();
  uint32_t checksum = 0;
  TRY(serialize([&](std::span<const uint8_t> bytes) -> Status {
    checksum = static_cast<uint32_t>(crc32_z(checksum, bytes.data(), bytes.size()));
    member.bytes += static_cast<int64_t>(bytes.size());
    return {};
  }));
  member.crc = checksum;
  member.packed_bytes = member.bytes;
  bool large = needs_64_bits(member);
  std::string extra = large ? zip64_extra(std::array{member.bytes, member.packed_bytes}) : std::string();
  std::string header;
  append(header, kLocalSignature, 4);
  TRY(file_.write(header + shared_header(member, large, extra.size()) + member.name + extra));
  int64_t start = file_.size();
  TRY(serialize([this](std::span<const uint8_t> bytes) { return file_.write(bytes); }));
  CHECK(file_.size() - start == member.bytes, "member '{}' changed while it was written", name);
  members_.push_back(std::move(member));
  return {};
}

Status ZipWriter::finish() {
  int64_t start = file_.size();
  for (const ZipMember& member : members_) {
    bool large = needs_64_bits(member), far = member.header_offset >= kInHeader64;
    std::vector<int64_t> in_extra;
    if (large) in_extra = {member.bytes, member.packed_bytes};
    if (far) in_extra.push_back(member.header_offset);
    std::string extra = zip64_extra(in_extra), entry;
    append(entry, kCentralSignature, 4);
    append(entry, kVersion, 2);
    entry += shared_header(member, large, extra.size());
    entry.append(10, '\0');  // no comment, part 0, no attributes
    append(entry, far ? kInHeader64 : static_cast<uint64_t>(member.header_offset), 4);
    TRY(file_.write(entry + member.name + extra));
  }
  uint64_t bytes = static_cast<uint64_t>(file_.size() - start), count = members_.size();
  uint64_t offset = static_cast<uint64_t>(start);
  std::string end;
  bool large = offset >= kInHeader64 || bytes >= kInHeader64 || count >= 0xffff;
  if (large) {
    uint64_t record = static_cast<uint64_t>(file_.size());
    append(end, kEnd64Signature, 4);
    append(end, kEnd64Bytes - 12, 8);
    append(end, kVersion, 2);
    append(end, kVersion, 2);
    append(end, 0, 8);  // both parts 0
    for (uint64_t value : {count, count, bytes, offset}) append(end, value, 8);
    append(end, kEnd64LocatorSignature, 4);
    append(end, 0, 4);
    append(end, record, 8);
    append(end, 1, 4);
  }
  append(end, kEndSignature, 4);
  append(end, 0, 4);
  uint64_t count16 = std::min<uint64_t>(count, 0xffff);
  append(end, count16, 2);
  append(end, count16, 2);
  append(end, std::min<uint64_t>(bytes, kInHeader64), 4);
  append(end, large ? kInHeader64 : offset, 4);
  append(end, 0, 2);
  return file_.write(end);
}

}  // namespace gannet
