#include "runtime/training/event_file.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstring>

#include "runtime/core/crc32c.h"
#include "tests/support/temporary_folder.h"

namespace gannet {
namespace {

uint32_t crc_of(std::string_view text, uint32_t before = 0) {
  return crc32c({reinterpret_cast<const uint8_t*>(text.data()), text.size()}, before);
}

template <class T>
T take(std::string_view& bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  bytes.remove_prefix(sizeof value);
  return value;
}

// The records of a TFRecord file; every checksum is verified.
std::vector<std::string> records_of(const std::string& contents) {
  std::vector<std::string> records;
  auto unmasked = [](uint32_t masked) { return std::rotl(masked - 0xA282EAD8u, 15); };
  for (std::string_view rest = contents; !rest.empty();) {
    const std::string_view length_bytes = rest.substr(0, 8);
    const auto length = take<uint64_t>(rest);
    EXPECT_EQ(unmasked(take<uint32_t>(rest)), crc_of(length_bytes));
    records.emplace_back(rest.substr(0, length));
    rest.remove_prefix(length);
    EXPECT_EQ(unmasked(take<uint32_t>(rest)), crc_of(records.back()));
  }
  return records;
}

std::string contents_of(const EventFile& file) {
  std::ifstream stream(file.path(), std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

TEST(EventFile, RecordsAreEventMessages) {
  TemporaryFolder folder;
  Result<EventFile> file = EventFile::create(folder.path(""));
  ASSERT_TRUE(file.ok()) << file.error().message;
  ASSERT_TRUE(file->scalar("loss", 300, 0.5).ok());
  ASSERT_TRUE(file->image("grid", 1, "PNG", 32, 48, 3).ok());
  ASSERT_TRUE(file->restart_after(6).ok());
  std::vector<std::string> records = records_of(contents_of(*file));
  ASSERT_EQ(records.size(), 4u);
  // Behind tag 1 (wall time, 9 bytes): field 3 is the version.
  EXPECT_EQ(records[0].substr(0, 1), "\x09");
  EXPECT_EQ(records[0].substr(9),
            "\x1a\x0d"
            "brain.Event:2");
  // Step 300; summary of one value with tag and f32.
  EXPECT_EQ(records[1].substr(9),
            std::string("\x10\xac\x02\x2a\x0d\x0a\x0b\x0a\x04loss\x15\x00\x00\x00\x3f", 18));
  EXPECT_EQ(
      records[2].substr(9),
      std::string("\x10\x01\x2a\x15\x0a\x13\x0a\x04grid\x22\x0b\x08\x20\x10\x30\x18\x03\x22\x03PNG", 25));
  EXPECT_EQ(records[3].substr(9), "\x10\x07\x3a\x02\x08\x01");
}

TEST(EventFile, TwoRunsInAFolderHaveTheirOwnFiles) {
  TemporaryFolder folder;
  const auto a = EventFile::create(folder.path("")), b = EventFile::create(folder.path(""));
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_NE(a->path(), b->path());
  EXPECT_FALSE(EventFile::create(folder.path("absent")).ok());
}

}  // namespace
}  // namespace gannet
