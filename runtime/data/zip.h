// Zip archives as far as .npz needs them: members stored or deflated, zip64, checksums; no encryption, no
// archives in parts. The central directory decides what is in the archive.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/base/error.h"
#include "ir/base/file.h"

namespace gannet {

struct ZipMember {
  std::string name;
  int64_t bytes = 0;  // unpacked
  int64_t packed_bytes = 0;
  int64_t header_offset = 0;  // of its local header
  uint32_t crc = 0;
  uint16_t method = 0;  // 0 stored, 8 deflated
};

// Every member, in the order of the central directory. Refuses a directory that contradicts the file: sizes
// beyond its end, members that together are larger than it, or an unpacked size that deflate cannot reach.
Result<std::vector<ZipMember>> list_zip(const ReadableFile& file);

// Reads one member from its start to its end. `consume` is given a source of its bytes; what it left unread
// is then unpacked and dropped to verify the size and the checksum, and an error of either replaces success.
Status read_zip_member(
    const ReadableFile& file, const ZipMember& member,
    const std::function<Status(const std::function<Status(std::span<uint8_t>)>&)>& consume);

// Writes an archive of stored members, with fixed dates so that equal contents give equal bytes.
class ZipWriter {
 public:
  explicit ZipWriter(AtomicFile& file) : file_(file) {}

  using Sink = std::function<Status(std::span<const uint8_t>)>;
  // Adds a member. `serialize` is called twice, for the checksum and for the bytes, and must give the same
  // both times.
  Status add(const std::string& name, const std::function<Status(const Sink&)>& serialize);
  // Writes the central directory; the last call.
  Status finish();

 private:
  AtomicFile& file_;
  std::vector<ZipMember> members_;
};

}  // namespace gannet
