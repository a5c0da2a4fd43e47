// The wire format of protobuf without protobuf: a message is a row of fields, each a number, a wire type and
// a payload. It is read in place, by byte offsets into the file, so that errors can say where and nothing is
// copied.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "ir/base/error.h"

namespace gannet {

enum class WireType : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

// One field; all positions are byte offsets into the file.
struct WireField {
  uint32_t number = 0;
  WireType type = WireType::kVarint;
  int64_t begin = 0;         // of the tag
  int64_t length_begin = 0;  // of the length prefix of kBytes; the payload of the others
  int64_t payload = 0;       // of the payload
  int64_t end = 0;           // one past the payload
  uint64_t varint = 0;       // the value of kVarint

  int64_t payload_size() const { return end - payload; }
};

// Reads the fields of the message in file[begin, end).
class WireReader {
 public:
  WireReader(std::span<const std::byte> file, int64_t begin, int64_t end)
      : file_(file), position_(begin), end_(end) {}
  explicit WireReader(std::span<const std::byte> file)
      : WireReader(file, 0, static_cast<int64_t>(file.size())) {}

  bool at_end() const { return position_ == end_; }
  // The next field; there must be one. Errors say what is malformed and at which byte: a field that goes
  // beyond the end, a varint of more than 64 bits, field number 0, a wire type that does not exist or that
  // ONNX does not use.
  Result<WireField> next();

 private:
  Result<uint64_t> varint(int64_t max_bytes, int64_t field_begin, uint32_t field_number);
  Error ends_inside(uint32_t field_number, int64_t field_begin) const;

  std::span<const std::byte> file_;
  int64_t position_, end_;
};

// Checks the payload of a packed repeated field in file[begin, end).
Status check_packed_varints(std::span<const std::byte> file, const WireField& field);
Status check_packed_fixed(const WireField& field, int64_t width);

void append_varint(std::string& out, uint64_t value);
void append_tag(std::string& out, uint32_t number, WireType type);
void append_varint_field(std::string& out, uint32_t number, uint64_t value);
void append_bytes_field(std::string& out, uint32_t number, std::string_view bytes);

}  // namespace gannet
