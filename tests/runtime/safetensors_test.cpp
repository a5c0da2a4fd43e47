#include "runtime/training/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/support/temporary_folder.h"

namespace gannet {
namespace {

using testing::HasSubstr;

std::string file(const std::string& header, const std::string& data = "") {
  std::string text;
  for (int i = 0; i < 8; ++i) text += static_cast<char>(header.size() >> (8 * i));
  return text + header + data;
}

std::string error(const std::string& bytes, const Limits& limits = {}) {
  TemporaryFolder folder;
  const std::string path = folder.write("x.safetensors", bytes);
  const Result<Safetensors> result = read_safetensors(path, limits);
  if (result.ok()) return "";
  EXPECT_TRUE(result.error().message.starts_with(path + ": ")) << result.error().message;
  return result.error().message.substr(path.size() + 2);
}

TEST(Safetensors, WhatIsWrittenIsRead) {
  TemporaryFolder folder;
  const NamedTensors tensors = {{"flags", Tensor::from<bool>({3}, {true, false, true})},
                                {"weight/\"α\"", Tensor::from<float>({2, 2}, {1, -2, 3, 1e30f})},
                                {"step", Tensor::scalar<int64_t>(-7)},
                                {"empty", Tensor::zeros(DType::kF64, {0, 4})},
                                {"half", Tensor::from<Half>({1}, {Half(0.5f)})}};
  uint32_t checksum = 0;
  ASSERT_TRUE(write_safetensors(folder.path("a"), tensors, {{"format", "pt"}}, &checksum).ok());
  const Result<Safetensors> read = read_safetensors(folder.path("a"));
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->metadata.at("format"), "pt");
  ASSERT_EQ(read->tensors.size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    const auto found = std::ranges::find(read->tensors, name, &std::pair<std::string, Tensor>::first);
    ASSERT_NE(found, read->tensors.end()) << name;
    EXPECT_TRUE(found->second.identical(tensor)) << name;
  }
  uint32_t again = 0;
  ASSERT_TRUE(write_safetensors(folder.path("b"), tensors, {{"format", "pt"}}, &again).ok());
  EXPECT_EQ(folder.read("a"), folder.read("b"));
  EXPECT_EQ(checksum, again);
}

// Written by hand after the format's description: a header padded with a space, types of two sizes.
TEST(Safetensors, ReadsOtherWritersFiles) {
  TemporaryFolder folder;
  const std::string header =
      R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"I16","shape":[2],"data_offsets":[4,8]}} )";
  const std::string path = folder.write("x", file(header, std::string("\0\0\0\x3f\1\0\2\0", 8)));
  const Result<Safetensors> read = read_safetensors(path);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_TRUE(read->tensors[0].second.identical(Tensor::from<float>({1}, {0.5f})));
  EXPECT_TRUE(read->tensors[1].second.identical(Tensor::from<int16_t>({2}, {1, 2})));
}

TEST(Safetensors, SaysWhatIsWrong) {
  EXPECT_EQ(error("short"), "is 5 bytes long, not a safetensors file");
  EXPECT_EQ(error(std::string("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10)),
            "a header of 18446744073709551615 bytes does not fit, the file has 10");
  EXPECT_EQ(error(file("[1, 2]")), "its header is not a safetensors header");
  EXPECT_EQ(error(file("{\"a\":")), "its header is not a safetensors header");
  EXPECT_EQ(error(file("{\"a\":" + std::string(100000, '[') + "}")),
            "its header is not a safetensors header");
  EXPECT_EQ(error(file("{\"a\":{\"b\":[[[[1]]]]}}")), "its header is not a safetensors header");
  EXPECT_EQ(error(file("{\"a\":1}")), "tensor 'a' has no description");
  EXPECT_EQ(error(file(R"({"a":{"dtype":"F31","shape":[],"data_offsets":[0,4]}})", "1234")),
            "tensor 'a' is F31, which is not known");
  EXPECT_EQ(error(file(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", "1234")),
            "tensor 'a' has no shape");
  EXPECT_EQ(
      error(file(R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,4]}})", "1234")),
      "tensor 'a' is too large");
  EXPECT_EQ(error(file(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", "1234")),
            "tensor 'a' has bytes 0 to 4, its shape and type need 8");
  EXPECT_EQ(error(file(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", "12345678")),
            "tensor 'a' begins at byte 4 of the data, 0 is expected");
  EXPECT_EQ(error(file(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "12345")),
            "its tensors take 4 bytes, the file has 5");
  EXPECT_EQ(error(file(R"({"a":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}})", "\2")),
            "tensor 'a' is BOOL and holds other bytes than 0 and 1");
  EXPECT_EQ(error(file(R"({"__metadata__":{"a":1}})")), "its metadata 'a' is not a text");
  Limits small;
  small.tensor_bytes = 8;
  EXPECT_NE(
      error(file(R"({"a":{"dtype":"F64","shape":[2],"data_offsets":[0,16]}})", std::string(16, '\0')), small),
      "");
}

TEST(Safetensors, RefusesWhatTheFormatLacks) {
  TemporaryFolder folder;
  auto message = [&](const NamedTensors& tensors) {
    const Status status = write_safetensors(folder.path("x"), tensors);
    return status.ok() ? "" : status.error().message;
  };
  EXPECT_THAT(message({{"s", Tensor::zeros(DType::kString, {1})}}),
              HasSubstr("'s' is string[1], which the format lacks"));
  EXPECT_THAT(message({{"a", Tensor::scalar(1.f)}, {"a", Tensor::scalar(1.f)}}),
              HasSubstr("'a' cannot be given twice"));
  EXPECT_THAT(message({{"\xff", Tensor::scalar(1.f)}}), HasSubstr("the name of tensor 0 is not UTF-8"));
  EXPECT_EQ(folder.entries(), 0);
}

TEST(Safetensors, SurvivesDamage) {
  TemporaryFolder folder;
  ASSERT_TRUE(
      write_safetensors(folder.path("x"),
                        {{"a", Tensor::from<float>({2, 3}, {1, 2, 3, 4, 5, 6})}, {"b", Tensor::scalar(true)}},
                        {{"k", "v"}})
          .ok());
  const std::string bytes = folder.read("x");
  for (size_t size = 0; size < bytes.size(); ++size) EXPECT_NE(error(bytes.substr(0, size)), "") << size;
  std::mt19937 random(3);
  for (int i = 0; i < 500; ++i) {
    std::string changed = bytes;
    for (uint32_t k = random() % 4 + 1; k > 0; --k)
      changed[random() % changed.size()] = static_cast<char>(random());
    error(changed);
  }
}

}  // namespace
}  // namespace gannet
