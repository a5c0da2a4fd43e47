#include "runtime/data/input_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/data/npy.h"
#include "runtime/data/text_lists.h"
#include "tests/support/temporary_folder.h"

namespace gannet {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;
using Extents = std::vector<int64_t>;

std::string error(const Result<Tensor>& tensor) { return tensor.ok() ? "" : tensor.error().message; }

TEST(InputFile, ArraysMustMatch) {
  TemporaryFolder folder;
  std::string path = folder.path("x.npy");
  ASSERT_TRUE(write_npy(path, Tensor::from<float>({1, 2}, {3, 4})).ok());
  EXPECT_TRUE(read_input(path, DType::kF32, Extents{1, 2}).ok());
  EXPECT_TRUE(read_input(path, DType::kF32, Extents{-1, 2}).ok());
  EXPECT_TRUE(read_input(path, DType::kUndefined, std::nullopt).ok());
  EXPECT_EQ(error(read_input(path, DType::kI64, Extents{-1, 2})),
            path + ": holds f32[1, 2], the input is i64[?, 2]");
  EXPECT_THAT(error(read_input(path, DType::kF32, Extents{2})),
              HasSubstr("holds f32[1, 2], the input is f32[2]"));
}

TEST(InputFile, NarrowTypesComeFromTheirStandIns) {
  TemporaryFolder folder;
  std::string path = folder.path("x.npy");
  ASSERT_TRUE(write_npy(path, Tensor::from<float>({2}, {3, 4})).ok());
  EXPECT_EQ(read_input(path, DType::kBF16, Extents{2})->double_at(1), 4);
  EXPECT_EQ(read_input(path, DType::kF8E4M3FN, Extents{2})->double_at(1), 4);
  EXPECT_FALSE(read_input(path, DType::kF16, Extents{2}).ok());
  ASSERT_TRUE(write_npy(path, Tensor::from<int8_t>({2}, {-8, 7})).ok());
  EXPECT_EQ(read_input(path, DType::kI4, Extents{2})->int_at(0), -8);
  EXPECT_THAT(error(read_input(path, DType::kI2, Extents{2})),
              HasSubstr("element 0 is -8; i2 holds -2 to 1"));
}

TEST(InputFile, ArchivesByName) {
  TemporaryFolder folder;
  std::string path = folder.path("x.npz");
  ASSERT_TRUE(write_npz(path, {{"a", Tensor::scalar(1.f)}, {"b#c", Tensor::scalar(2.f)}}).ok());
  EXPECT_EQ(read_input(path + "#a", DType::kF32, Extents{})->double_at(0), 1);
  EXPECT_THAT(error(read_input(path, DType::kF32, Extents{})), HasSubstr("holds 2 arrays; choose one"));
  EXPECT_THAT(error(read_input(path + "#z", DType::kF32, Extents{})),
              HasSubstr("no array 'z'; there are 'a', 'b#c'"));
  std::string single = folder.path("with#hash.npz");
  ASSERT_TRUE(write_npz(single, {{"a", Tensor::scalar(5.f)}}).ok());
  EXPECT_EQ(read_input(single, DType::kF32, Extents{})->double_at(0), 5);
  EXPECT_EQ(read_input(single + "#a", DType::kF32, Extents{})->double_at(0), 5);
  EXPECT_THAT(error(read_input(folder.write("y.bin", "1234") + "#a", DType::kF32, Extents{})),
              HasSubstr("not an archive"));
}

TEST(InputFile, PicturesTakeWhatTheModelWants) {
  TemporaryFolder folder;
  std::string path = folder.path("picture");
  ASSERT_TRUE(write_png(path, Image{2, 3, 1, {1, 2, 3, 4, 5, 6}}).ok());
  EXPECT_THAT(read_input(path, DType::kF32, Extents{1, 3, 4, 5})->extents(), ElementsAre(1, 3, 4, 5));
  EXPECT_THAT(read_input(path, DType::kF16, Extents{-1, 4, 5, 3})->extents(), ElementsAre(1, 4, 5, 3));
  EXPECT_THAT(read_input(path, DType::kU8, Extents{-1, -1, -1, 1})->extents(), ElementsAre(1, 2, 3, 1));
  EXPECT_THAT(read_input(path, DType::kF32, Extents{-1, -1, -1, -1})->extents(), ElementsAre(1, 3, 2, 3));
  EXPECT_THAT(read_input(path, DType::kF32, Extents{3, 4, 5})->extents(), ElementsAre(3, 4, 5));
  EXPECT_THAT(read_input(path, DType::kF32, std::nullopt)->extents(), ElementsAre(1, 1, 2, 3));
  EXPECT_THAT(error(read_input(path, DType::kF32, Extents{8, 3, 4, 5})),
              HasSubstr("holds f32[1, 3, 4, 5], the input is f32[8, 3, 4, 5]"));
  EXPECT_THAT(error(read_input(path, DType::kI64, Extents{1, 3, 4, 5})),
              AllOf(StartsWith(path), HasSubstr("i64")));
  EXPECT_THAT(error(read_input(path, DType::kF32, Extents{1, 64, 4, 5})),
              HasSubstr("1 or 3 channels, not 64"));
  EXPECT_THAT(error(read_input(path, DType::kF32, Extents{12})), HasSubstr("rank 4 or 3"));
}

TEST(InputFile, RawElementsFitExactly) {
  TemporaryFolder folder;
  std::string path = folder.write("x.bin", std::string("\1\0\0\0\2\0\0\0", 8));
  EXPECT_THAT(read_input(path, DType::kI32, Extents{2})->data<int32_t>(), ElementsAre(1, 2));
  EXPECT_THAT(read_input(path, DType::kI16, Extents{2, -1})->extents(), ElementsAre(2, 2));
  EXPECT_THAT(error(read_input(path, DType::kI32, Extents{3})),
              HasSubstr("is 8 bytes long, i32[3] takes 12"));
  EXPECT_THAT(error(read_input(path, DType::kI32, Extents{3, -1})),
              HasSubstr("8 bytes do not fit i32[3, ?]"));
  EXPECT_THAT(error(read_input(path, DType::kI32, Extents{0, -1})), HasSubstr("do not fit"));
  EXPECT_THAT(error(read_input(path, DType::kI32, Extents{-1, -1})), HasSubstr("at most one open extent"));
  EXPECT_THAT(error(read_input(path, DType::kI32, Extents{int64_t{1} << 62, 4})),
              HasSubstr("takes more than"));
  EXPECT_THAT(error(read_input(path, DType::kUndefined, Extents{2})), HasSubstr("need a type and a shape"));
  EXPECT_THAT(error(read_input(path, DType::kI32, std::nullopt)), HasSubstr("need a type and a shape"));
  EXPECT_THAT(error(read_input(path, DType::kString, Extents{2})), HasSubstr("not read"));
}

TEST(InputFile, NamesPromiseContent) {
  TemporaryFolder folder;
  EXPECT_THAT(error(read_input(folder.write("x.npy", "1234"), DType::kF32, Extents{1})), HasSubstr(".npy"));
  EXPECT_THAT(error(read_input(folder.write("x.PNG", "1234"), DType::kF32, Extents{1, 1, 1, 1})),
              HasSubstr("not a PNG"));
  EXPECT_THAT(error(read_input(folder.write("x.npz", "1234"), DType::kF32, Extents{1})), HasSubstr("zip"));
  EXPECT_FALSE(is_recognized_input(folder.path("x.npy")));
  EXPECT_FALSE(is_recognized_input(folder.path("missing")));
}

TEST(InputFile, OtherNamesAreNotRaw) {
  TemporaryFolder folder;
  const auto read = [&](const char* name) { return read_input(folder.write(name, "1234"), DType::kF32, Extents{1}); };
  for (const char* name : {"x.gif", "x.csv", "x.TXT", "x.bin.gz"})
    EXPECT_THAT(error(read(name)), HasSubstr("is neither an array nor a picture; inputs are")) << name;
  for (const char* name : {"x", "x.raw", "x.BIN", "x.dat", "x.7"}) EXPECT_TRUE(read(name).ok()) << name;
}

TEST(TextLists, KeepLinesInTheirPlaces) {
  TemporaryFolder folder;
  EXPECT_THAT(*read_lines(folder.write("x",
                                       "\xef\xbb\xbf"
                                       "a\r\n\nb c\n\n\n")),
              ElementsAre("a", "", "b c"));
  EXPECT_THAT(*read_lines(folder.write("x", "last")), ElementsAre("last"));
  EXPECT_THAT(*read_lines(folder.write("x", "")), ElementsAre());
}

}  // namespace
}  // namespace gannet
