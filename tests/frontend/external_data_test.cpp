#include "frontend/external_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frontend/model_file.h"
#include "frontend/tensor_data.h"
#include "tests/frontend/wire_message.h"
#include "tests/support/temporary_folder.h"

namespace gannet {
namespace {

using testing::HasSubstr;

WireMessage external_tensor(const std::string& name, std::initializer_list<int64_t> dims,
                            const std::string& location) {
  return tensor_message(name, 1, dims).entry(13, "location", location).number(14, 1);
}

Result<Tensor> read_first(const TemporaryFolder& folder, const WireMessage& tensor, const Limits& limits = {}) {
  ModelFile model = TRY(load_model(folder.write("m.onnx", model_message({tensor}).bytes())));
  return read_tensor(model.proto.graph().initializer(0), model, limits);
}

std::string error_of(const TemporaryFolder& folder, const WireMessage& tensor, const Limits& limits = {}) {
  Result<Tensor> result = read_first(folder, tensor, limits);
  return result.ok() ? "" : result.error().message;
}

// The messages of both ways to open must agree.
std::string open_error(const TemporaryFolder& folder, const std::string& location) {
  Result<FileDescriptor> kernel = open_beneath(folder.path(), location);
  Result<FileDescriptor> parts = open_beneath(folder.path(), location, true);
  EXPECT_EQ(kernel.ok(), parts.ok()) << location;
  if (kernel.ok() || parts.ok()) return "";
  EXPECT_EQ(kernel.error().message, parts.error().message);
  return kernel.error().message;
}

TEST(ExternalData, ReadsWithoutACopy) {
  TemporaryFolder folder;
  std::string data(8192, '\0');
  float values[2] = {1.5f, -2};
  data.replace(4100, sizeof(values), reinterpret_cast<const char*>(values), sizeof(values));
  std::filesystem::create_directory(folder.path("sub"));
  folder.write("sub/w.bin", data);
  WireMessage tensor =
      external_tensor("w", {2}, "./sub//w.bin").entry(13, "offset", "4100").entry(13, "checksum", "?");
  Result<Tensor> value = read_first(folder, tensor);
  ASSERT_TRUE(value.ok()) << value.error().message;
  EXPECT_EQ(value->double_at(0), 1.5);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(value->raw()) % 4096, 4u);
  tensor.entry(13, "length", "8");
  EXPECT_EQ(error_of(folder, tensor), "");
  EXPECT_EQ(error_of(folder, external_tensor("w", {0}, "sub/w.bin")), "");
}

TEST(ExternalData, StaysInTheFolder) {
  TemporaryFolder outer;
  std::filesystem::create_directories(outer.path("model/sub"));
  outer.write("secret", "12345678");
  TemporaryFolder folder;
  folder.write("plain", "12345678");
  std::filesystem::create_directory(folder.path("sub"));
  folder.write("sub/inner", "12345678");
  ASSERT_EQ(::symlink((outer.path("secret")).c_str(), (folder.path("leaving")).c_str()), 0);
  ASSERT_EQ(::symlink("plain", (folder.path("staying")).c_str()), 0);
  ASSERT_EQ(::symlink(outer.path().c_str(), (folder.path("way")).c_str()), 0);
  ASSERT_EQ(::symlink("sub", (folder.path("inner_way")).c_str()), 0);
  folder.write("one", "12345678");
  ASSERT_EQ(::link((folder.path("one")).c_str(), (folder.path("two")).c_str()), 0);
  ASSERT_EQ(::mkfifo((folder.path("pipe")).c_str(), 0600), 0);

  EXPECT_EQ(open_error(folder, "plain"), "");
  EXPECT_EQ(open_error(folder, "sub/inner"), "");
  EXPECT_EQ(open_error(folder, "./sub/./inner"), "");
  EXPECT_THAT(open_error(folder, "/etc/passwd"), HasSubstr("location '/etc/passwd' is absolute"));
  EXPECT_THAT(open_error(folder, "../secret"), HasSubstr("leaves the model's folder"));
  EXPECT_THAT(open_error(folder, "sub/../plain"), HasSubstr("leaves the model's folder"));
  EXPECT_THAT(open_error(folder, "sub/.."), HasSubstr("leaves the model's folder"));
  for (const char* link : {"leaving", "staying", "way/secret", "inner_way/inner"}) {
    EXPECT_THAT(open_error(folder, link), HasSubstr("symbolic link"));
  }
  EXPECT_THAT(open_error(folder, "one"), HasSubstr("a file with 2 hard links"));
  EXPECT_THAT(open_error(folder, "pipe"), HasSubstr("not a regular file"));
  EXPECT_THAT(open_error(folder, "sub"), HasSubstr("not a regular file"));
  EXPECT_THAT(open_error(folder, "plain/x"), HasSubstr("Not a directory"));
  EXPECT_THAT(open_error(folder, "none"), HasSubstr("'none' cannot be opened: No such file"));
  EXPECT_THAT(open_error(folder, ""), HasSubstr("is empty"));
  EXPECT_THAT(open_error(folder, "./."), HasSubstr("names no file"));
  EXPECT_THAT(open_error(folder, std::string("plain\0x", 7)), HasSubstr("zero byte"));
}

TEST(ExternalData, RangesNameBothNumbers) {
  TemporaryFolder folder;
  folder.write("w.bin", "12345678");
  WireMessage tensor = external_tensor("w", {2}, "w.bin");
  auto with = [&](const char* key, const char* value) { return WireMessage(tensor).entry(13, key, value); };
  EXPECT_EQ(error_of(folder, with("length", "12")),
            "tensor 'w': external data: length 12 does not fit the tensor, which needs 8 bytes");
  EXPECT_EQ(error_of(folder, with("offset", "4")),
            "tensor 'w': external data: 8 bytes at offset 4 of 'w.bin' lie beyond its end, it has 8 bytes");
  EXPECT_THAT(error_of(folder, with("offset", "9223372036854775807")), HasSubstr("beyond its end"));
  for (const char* bad : {"-1", "9223372036854775808", "99999999999999999999", "0x10", "", " 1", "1 "}) {
    EXPECT_THAT(error_of(folder, with("offset", bad)), HasSubstr("is not a number from 0"));
    EXPECT_THAT(error_of(folder, with("length", bad)), HasSubstr("is not a number from 0"));
  }
  Limits limits;
  limits.file_bytes = 4;
  EXPECT_THAT(error_of(folder, tensor, limits), HasSubstr("the limit file-bytes is 4"));
  folder.write("empty.bin", "");
  EXPECT_THAT(error_of(folder, external_tensor("w", {2}, "empty.bin")), HasSubstr("it has 0 bytes"));
  EXPECT_EQ(error_of(folder, external_tensor("w", {0}, "empty.bin")), "");
  EXPECT_THAT(error_of(folder, WireMessage(tensor).text(9, "12345678")),
              HasSubstr("both external and inner"));
}

TEST(ExternalData, ModelsFromMemoryHaveNone) {
  ModelFile model =
      load_model_bytes(model_message({external_tensor("w", {2}, "w.bin")}).bytes(), "m").value();
  EXPECT_THAT(read_tensor(model.proto.graph().initializer(0), model, {}).error().message,
              HasSubstr("model without a folder"));
}

}  // namespace
}  // namespace gannet
