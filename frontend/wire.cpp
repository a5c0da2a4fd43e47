#include "frontend/wire.h"

namespace gannet {

Error WireReader::ends_inside(uint32_t field_number, int64_t field_begin) const {
  bool at_file_end = end_ == static_cast<int64_t>(file_.size());
  std::string end =
      at_file_end ? "the file ends" : fmt::format("the message that ends at byte {} is cut", end_);
  if (field_number == 0) return invalid_model(fmt::format("{} inside a field at byte {}", end, field_begin));
  return invalid_model(fmt::format("{} inside field {} at byte {}", end, field_number, field_begin));
}

Result<uint64_t> WireReader::varint(int64_t max_bytes, int64_t field_begin, uint32_t field_number) {
  uint64_t value = 0;
  int64_t first = position_;
  for (int64_t i = 0; i < max_bytes; ++i) {
    if (position_ == end_) return ends_inside(field_number, field_begin);
    uint64_t byte = static_cast<uint64_t>(file_[static_cast<size_t>(position_++)]);
    if (i == 9 && byte > 1) break;
    value |= (byte & 0x7f) << (7 * i);
    if (byte < 0x80) return value;
  }
  return invalid_model(
      fmt::format("a number at byte {} has more than {} bits", first, max_bytes == 10 ? 64 : 32));
}

Result<WireField> WireReader::next() {
  CHECK(position_ < end_, "no field at byte {}", position_);
  WireField field;
  field.begin = position_;
  uint64_t tag = TRY(varint(5, field.begin, 0));
  if (tag > UINT32_MAX || (tag >> 3) == 0) {
    return invalid_model(
        fmt::format("field number {} at byte {} is outside of 1 to 536870911", tag >> 3, field.begin));
  }
  field.number = static_cast<uint32_t>(tag >> 3);
  field.length_begin = field.payload = position_;
  uint64_t size = 0;
  switch (tag & 7) {
    case 0:
      field.type = WireType::kVarint;
      field.varint = TRY(varint(10, field.begin, field.number));
      field.end = position_;
      return field;
    case 1:
      field.type = WireType::kFixed64;
      size = 8;
      break;
    case 2:
      field.type = WireType::kBytes;
      size = TRY(varint(10, field.begin, field.number));
      field.payload = position_;
      break;
    case 5:
      field.type = WireType::kFixed32;
      size = 4;
      break;
    case 3:
    case 4:
      return invalid_model(
          fmt::format("field {} at byte {} is a group, which ONNX does not have", field.number, field.begin));
    default:
      return invalid_model(fmt::format("field {} at byte {} has wire type {}, which does not exist",
                                       field.number, field.begin, tag & 7));
  }
  if (size > static_cast<uint64_t>(end_ - position_)) {
    Error error = ends_inside(field.number, field.begin);
    error.message += fmt::format(": {} bytes of {}", end_ - position_, size);
    return error;
  }
  position_ += static_cast<int64_t>(size);
  field.end = position_;
  return field;
}

Status check_packed_varints(std::span<const std::byte> file, const WireField& field) {
  int64_t run = 0;
  for (int64_t i = field.payload; i < field.end; ++i) {
    bool more = (file[static_cast<size_t>(i)] & std::byte{0x80}) != std::byte{0};
    run = more ? run + 1 : 0;
    if (run == 10) {
      return invalid_model(fmt::format("a number at byte {} has more than 64 bits", i - 9));
    }
  }
  if (run > 0) {
    return invalid_model(
        fmt::format("field {} at byte {} ends inside its last number, {} bytes of which are there",
                    field.number, field.begin, run));
  }
  return {};
}

Status check_packed_fixed(const WireField& field, int64_t width) {
  if (field.payload_size() % width == 0) return {};
  return invalid_model(fmt::format("field {} at byte {} has {} bytes, which are no numbers of {} bytes each",
                                   field.number, field.begin, field.payload_size(), width));
}

void append_varint(std::string& out, uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

void append_tag(std::string& out, uint32_t number, WireType type) {
  append_varint(out, uint64_t{number} << 3 | static_cast<uint64_t>(type));
}

void append_varint_field(std::string& out, uint32_t number, uint64_t value) {
  append_tag(out, number, WireType::kVarint);
  append_varint(out, value);
}

void append_bytes_field(std::string& out, uint32_t number, std::string_view bytes) {
  append_tag(out, number, WireType::kBytes);
  append_varint(out, bytes.size());
  out += bytes;
}

}  // namespace gannet
