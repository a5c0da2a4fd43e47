#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "runtime/data/npy.h"
#include "runtime/data/zip.h"
#include "tests/support/temporary_folder.h"

namespace gannet {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string little(uint64_t value, int width) {
  std::string bytes;
  for (int i = 0; i < width; ++i) bytes.push_back(static_cast<char>(value >> (8 * i)));
  return bytes;
}

std::string npy_bytes(const Tensor& tensor) {
  std::string bytes;
  EXPECT_TRUE(serialize_npy(tensor, [&](std::span<const uint8_t> part) -> Status {
                bytes.append(reinterpret_cast<const char*>(part.data()), part.size());
                return {};
              }).ok());
  return bytes;
}

std::string deflated(const std::string& text) {
  std::string out(text.size() + 1000, '\0');
  z_stream stream = {};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

// An archive of one member with any values in its directory.
struct OneMember {
  std::string name = "x.npy";
  std::string packed;
  uint64_t bytes = 0;
  uint32_t crc = 0;
  uint16_t method = 0, flags = 0;
  bool zip64 = false;

  std::string archive() const {
    std::string local = little(0x04034b50, 4) + little(45, 2) + little(flags, 2) + little(method, 2) +
                        std::string(16, '\0') + little(name.size(), 2) + little(0, 2) + name + packed;
    std::string extra =
        zip64 ? little(1, 2) + little(16, 2) + little(bytes, 8) + little(packed.size(), 8) : "";
    std::string central = little(0x02014b50, 4) + little(45, 2) + little(45, 2) + little(flags, 2) +
                          little(method, 2) + std::string(4, '\0') + little(crc, 4) +
                          little(zip64 ? 0xffffffff : packed.size(), 4) +
                          little(zip64 ? 0xffffffff : bytes, 4) + little(name.size(), 2) +
                          little(extra.size(), 2) + std::string(14, '\0') + name + extra;
    return local + central + little(0x06054b50, 4) + little(0, 4) + little(1, 2) + little(1, 2) +
           little(central.size(), 4) + little(local.size(), 4) + little(0, 2);
  }
};

OneMember member_of(const std::string& contents, bool deflate_it) {
  OneMember member;
  member.packed = deflate_it ? deflated(contents) : contents;
  member.bytes = contents.size();
  member.crc =
      static_cast<uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(contents.data()), contents.size()));
  member.method = deflate_it ? 8 : 0;
  return member;
}

std::string error(const std::string& archive, const Limits& limits = {}) {
  TemporaryFolder folder;
  Result<NamedTensors> tensors = read_npz(folder.write("x.npz", archive), limits);
  return tensors.ok() ? "" : tensors.error().message;
}

Tensor counting(int64_t count) {
  Tensor tensor = Tensor::zeros(DType::kI32, {count});
  for (int64_t i = 0; i < count; ++i)
    tensor.mutable_data<int32_t>()[static_cast<size_t>(i)] = static_cast<int32_t>(i / 7);
  return tensor;
}

TEST(Npz, RoundTripsInOrder) {
  TemporaryFolder folder;
  NamedTensors tensors = {{"z/first", counting(5)},
                          {"a", Tensor::scalar(2.5)},
                          {"\xc3\xa9", Tensor::from<std::string>({1}, {"text"})},
                          {"none", Tensor::zeros(DType::kF32, {0, 3})}};
  ASSERT_TRUE(write_npz(folder.path("x.npz"), tensors).ok());
  NamedTensors again = *read_npz(folder.path("x.npz"));
  ASSERT_EQ(again.size(), tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_EQ(again[i].first, tensors[i].first);
    EXPECT_TRUE(again[i].second.identical(tensors[i].second));
  }
  std::string bytes = folder.read("x.npz");
  ASSERT_TRUE(write_npz(folder.path("x.npz"), again).ok());
  EXPECT_EQ(folder.read("x.npz"), bytes);
  ASSERT_TRUE(write_npz(folder.path("empty.npz"), {}).ok());
  EXPECT_TRUE(read_npz(folder.path("empty.npz"))->empty());
}

TEST(Npz, HoldsMoreMembersThanSixteenBitsCount) {
  TemporaryFolder folder;
  NamedTensors tensors;
  for (int i = 0; i < 70'000; ++i)
    tensors.emplace_back(std::to_string(i), Tensor::scalar<uint8_t>(static_cast<uint8_t>(i)));
  ASSERT_TRUE(write_npz(folder.path("x.npz"), tensors).ok());
  EXPECT_EQ(read_npz(folder.path("x.npz"))->size(), tensors.size());
}

TEST(Npz, ReadsDeflatedMembers) {
  TemporaryFolder folder;
  Tensor tensor = counting(100'000);
  OneMember member = member_of(npy_bytes(tensor), true);
  EXPECT_TRUE((*read_npz(folder.write("x.npz", member.archive())))[0].second.identical(tensor));
  member.zip64 = true;
  EXPECT_TRUE((*read_npz(folder.write("x.npz", member.archive())))[0].second.identical(tensor));
  EXPECT_TRUE((*read_npz(folder.write("x.npz", member.archive())))[0].second.identical(tensor));
}

TEST(Npz, FindsOneArrayByName) {
  TemporaryFolder folder;
  ASSERT_TRUE(write_npz(folder.path("x.npz"), {{"a", counting(1)}, {"b", counting(2)}}).ok());
  EXPECT_EQ(read_npz_array(folder.path("x.npz"), "b")->elements(), 2);
  EXPECT_THAT(read_npz_array(folder.path("x.npz"), "c").error().message,
              HasSubstr("no array 'c'; there are 'a', 'b'"));
}

TEST(Npz, RefusesNamesThatClash) {
  TemporaryFolder folder;
  EXPECT_THAT(write_npz(folder.path("x.npz"), {{"a", counting(1)}, {"a", counting(1)}}).error().message,
              HasSubstr("'a'"));
  EXPECT_FALSE(write_npz(folder.path("x.npz"), {{"\xff", counting(1)}}).ok());
  EXPECT_FALSE(write_npz(folder.path("x.npz"), {{std::string(70'000, 'a'), counting(1)}}).ok());
  EXPECT_EQ(folder.entries(), 0);
}

TEST(Npz, VerifiesChecksums) {
  for (bool deflate_it : {false, true}) {
    OneMember member = member_of(npy_bytes(counting(100)), deflate_it);
    member.crc ^= 1;
    EXPECT_THAT(error(member.archive()), AllOf(HasSubstr("array 'x'"), HasSubstr("checksum")));
  }
}

TEST(Npz, RefusesABombBeforeItUnpacks) {
  Limits limits;
  limits.tensor_bytes = 1 << 20;
  OneMember member = member_of(npy_bytes(Tensor::zeros(DType::kU8, {int64_t{1} << 24})), true);
  EXPECT_LT(member.packed.size(), 20'000u);
  EXPECT_NE(error(member.archive(), limits), "");
  limits = {};
  limits.live_bytes = 1 << 20;
  EXPECT_THAT(error(member.archive(), limits), HasSubstr("limit of 1048576"));
  member.bytes = uint64_t{1} << 40;
  member.zip64 = true;
  EXPECT_THAT(error(member.archive()), HasSubstr("cannot unpack to"));
  member.bytes = ~uint64_t{0};
  EXPECT_THAT(error(member.archive()), HasSubstr("size"));
}

TEST(Npz, RefusesWhatItsSizesContradict) {
  OneMember stored = member_of(npy_bytes(counting(100)), false);
  stored.bytes += 1;
  EXPECT_THAT(error(stored.archive()), HasSubstr("stored, but"));
  OneMember short_data = member_of(npy_bytes(counting(100)), true);
  short_data.packed.resize(short_data.packed.size() / 2);
  EXPECT_NE(error(short_data.archive()), "");
  OneMember encrypted = member_of("x", false);
  encrypted.flags = 1;
  EXPECT_THAT(error(encrypted.archive()), HasSubstr("encrypted"));
  OneMember other = member_of("x", false);
  other.method = 12;
  EXPECT_THAT(error(other.archive()), HasSubstr("method 12"));
  EXPECT_THAT(error(member_of("plain text, no array", false).archive()), HasSubstr("not a .npy array"));
  EXPECT_THAT(error("other bytes"), HasSubstr("not a zip archive (.npz)"));
  EXPECT_THAT(error("PK without an end"), HasSubstr("no central directory"));
  EXPECT_THAT(error(""), HasSubstr("not a zip archive (.npz)"));
}

}  // namespace
}  // namespace gannet
