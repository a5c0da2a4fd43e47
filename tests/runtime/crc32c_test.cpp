#include "runtime/core/crc32c.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace gannet {
namespace {

std::span<const uint8_t> bytes_of(std::string_view text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }

uint32_t crc_of(std::string_view text, uint32_t before = 0) { return crc32c(bytes_of(text), before); }

// RFC 3720, B.4, and the check value of the catalogue of CRCs.
TEST(Crc32c, KnownValues) {
  EXPECT_EQ(crc_of("123456789"), 0xE3069283u);
  EXPECT_EQ(crc_of(std::string(32, '\0')), 0x8A9136AAu);
  EXPECT_EQ(crc_of(std::string(32, '\xff')), 0x62A8AB43u);
  EXPECT_EQ(crc_of(""), 0u);
  const std::string text = "any bytes in two pieces of any length";
  for (size_t cut = 0; cut <= text.size(); ++cut)
    EXPECT_EQ(crc_of(text.substr(cut), crc_of(text.substr(0, cut))), crc_of(text));
}

TEST(Crc32c, TheInstructionGivesWhatTheTablesGive) {
  std::string text;
  for (size_t length = 0; length < 100; ++length) {
    EXPECT_EQ(crc32c(bytes_of(text), 0x12345678), crc32c_by_tables(bytes_of(text), 0x12345678)) << length;
    text += static_cast<char>(length * 37 + 11);
  }
}

}  // namespace
}  // namespace gannet
