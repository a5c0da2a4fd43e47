#include "frontend/wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gannet {
namespace {

using testing::HasSubstr;

std::span<const std::byte> view(const std::string& bytes) { return std::as_bytes(std::span(bytes)); }

std::string first_error(const std::string& bytes) {
  WireReader reader(view(bytes));
  while (!reader.at_end()) {
    Result<WireField> field = reader.next();
    if (!field.ok()) return field.error().message;
  }
  return "";
}

TEST(Wire, ReadsWhatItWrites) {
  for (uint64_t value : {uint64_t{0}, uint64_t{127}, uint64_t{128}, uint64_t{1} << 62, UINT64_MAX}) {
    std::string bytes;
    append_varint_field(bytes, 536'870'911, value);
    WireReader reader(view(bytes));
    Result<WireField> field = reader.next();
    ASSERT_TRUE(field.ok());
    EXPECT_EQ(field->number, 536'870'911u);
    EXPECT_EQ(field->varint, value);
    EXPECT_TRUE(reader.at_end());
  }
  std::string bytes;
  append_bytes_field(bytes, 3, "abc");
  append_bytes_field(bytes, 4, "");
  WireReader reader(view(bytes));
  Result<WireField> field = reader.next();
  ASSERT_TRUE(field.ok());
  EXPECT_EQ(field->payload, 2);
  EXPECT_EQ(field->end, 5);
  EXPECT_EQ(reader.next().value().payload_size(), 0);
}

TEST(Wire, ErrorsNameTheFieldAndTheByte) {
  EXPECT_EQ(first_error(std::string("\x08\x01\x3a\x7f\x01", 5)),
            "the file ends inside field 7 at byte 2: 1 bytes of 127");
  EXPECT_EQ(first_error("\x3a"), "the file ends inside field 7 at byte 0");
  EXPECT_EQ(first_error("\xff"), "the file ends inside a field at byte 0");
  EXPECT_THAT(first_error(std::string("\x02\x01", 2)), HasSubstr("field number 0 at byte 0"));
  EXPECT_THAT(first_error("\x0b"), HasSubstr("is a group"));
  EXPECT_THAT(first_error("\x0f"), HasSubstr("wire type 7"));
  EXPECT_THAT(first_error("\x09"
                          "1234567"),
              HasSubstr("7 bytes of 8"));
  EXPECT_THAT(first_error("\x0d"
                          "123"),
              HasSubstr("3 bytes of 4"));
}

TEST(Wire, RefusesNumbersOfMoreThan64Bits) {
  std::string ten(9, '\xff');
  EXPECT_EQ(first_error("\x08" + ten + "\x01"), "");
  EXPECT_THAT(first_error("\x08" + ten + "\x02"), HasSubstr("a number at byte 1 has more than 64 bits"));
  EXPECT_THAT(first_error("\x08" + ten + "\xff\x01"), HasSubstr("more than 64 bits"));
  EXPECT_THAT(first_error("\x3a" + ten + "\x01"), HasSubstr("bytes of 18446744073709551615"));
  EXPECT_THAT(first_error("\xff\xff\xff\xff\xff\x01"), HasSubstr("more than 32 bits"));
}

TEST(Wire, ChecksPackedFields) {
  std::string good, cut, long_number;
  append_bytes_field(good, 8, "\x01\xff\x01");
  append_bytes_field(cut, 8, "\x01\xff");
  append_bytes_field(long_number, 8, std::string(10, '\xff') + "\x01");
  auto check = [](const std::string& bytes) {
    return check_packed_varints(view(bytes), WireReader(view(bytes)).next().value());
  };
  EXPECT_TRUE(check(good).ok());
  EXPECT_THAT(check(cut).error().message, HasSubstr("ends inside its last number"));
  EXPECT_THAT(check(long_number).error().message, HasSubstr("at byte 2 has more than 64 bits"));
  WireField field = WireReader(view(good)).next().value();
  EXPECT_TRUE(check_packed_fixed(field, 3).ok());
  EXPECT_THAT(check_packed_fixed(field, 4).error().message, HasSubstr("3 bytes"));
}

}  // namespace
}  // namespace gannet
