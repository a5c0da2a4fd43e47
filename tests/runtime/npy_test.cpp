#include "runtime/data/npy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "runtime/data/npy_header.h"
#include "tests/support/temporary_folder.h"

namespace gannet {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

std::string little(uint64_t value, int width) {
  std::string bytes;
  for (int i = 0; i < width; ++i) bytes.push_back(static_cast<char>(value >> (8 * i)));
  return bytes;
}

std::string npy(std::string_view header, std::string_view payload, int version = 1) {
  std::string text = "\x93NUMPY";
  text.push_back(static_cast<char>(version));
  text.push_back('\0');
  return text + little(header.size(), version == 1 ? 2 : 4) + std::string(header) + std::string(payload);
}

std::string header(std::string_view descriptor, std::string_view shape, std::string_view fortran = "False") {
  return fmt::format("{{'descr': '{}', 'fortran_order': {}, 'shape': {}, }}\n", descriptor, fortran, shape);
}

Result<Tensor> read(std::string_view bytes, const Limits& limits = {}) {
  TemporaryFolder folder;
  return read_npy(folder.write("x.npy", bytes), limits);
}

std::string error(std::string_view bytes, const Limits& limits = {}) {
  Result<Tensor> tensor = read(bytes, limits);
  return tensor.ok() ? "" : tensor.error().message;
}

Tensor round_trip(const Tensor& tensor) {
  TemporaryFolder folder;
  EXPECT_TRUE(write_npy(folder.path("x.npy"), tensor).ok());
  return *read_npy(folder.path("x.npy"));
}

TEST(Npy, RoundTripsEveryTypeItHas) {
  for (int number = 1; number < kDTypeCount; ++number) {
    DType dtype = static_cast<DType>(number);
    if (dtype == DType::kBF16 || is_small_float(dtype) || dtype == DType::kString) continue;
    if (element_bits(dtype) < 8) continue;
    for (std::vector<int64_t> extents : {std::vector<int64_t>{}, {3}, {2, 3}, {0, 2}, {1, 2, 1, 2}}) {
      Tensor tensor = Tensor::zeros(dtype, extents);
      uint8_t* bytes = static_cast<uint8_t*>(tensor.mutable_raw());
      for (int64_t i = 0; i < tensor.bytes(); ++i)
        bytes[i] = dtype == DType::kBool ? i % 2 : static_cast<uint8_t>(37 * i);
      EXPECT_TRUE(round_trip(tensor).identical(tensor)) << type_string(tensor);
    }
  }
}

TEST(Npy, RoundTripsStrings) {
  Tensor unicode = Tensor::from<std::string>({2, 2}, {"", "a", "\xc3\xa9\xf0\x9f\x98\x80", "longer text"});
  EXPECT_TRUE(round_trip(unicode).identical(unicode));
  Tensor bytes = Tensor::from<std::string>({2}, {"\xff", "abc"});
  EXPECT_TRUE(round_trip(bytes).identical(bytes));
  Tensor none = Tensor::zeros(DType::kString, {0});
  EXPECT_TRUE(round_trip(none).identical(none));
}

TEST(Npy, WidensWhatNumpyLacks) {
  Tensor narrow = *convert(Tensor::from<float>({2}, {1.5f, -2}), DType::kBF16);
  EXPECT_TRUE(round_trip(narrow).identical(Tensor::from<float>({2}, {1.5f, -2})));
  Tensor ints = *convert(Tensor::from<int8_t>({2}, {7, -8}), DType::kI4);
  EXPECT_TRUE(round_trip(ints).identical(Tensor::from<int8_t>({2}, {7, -8})));
}

TEST(Npy, WritesTheBytesOfNumpy) {
  TemporaryFolder folder;
  ASSERT_TRUE(write_npy(folder.path("x.npy"), Tensor::from<float>({2}, {1, 2})).ok());
  std::string bytes = folder.read("x.npy");
  ASSERT_EQ(bytes.size(), 128u + 8);
  EXPECT_THAT(bytes.substr(8, 2), little(118, 2));
  EXPECT_THAT(bytes.substr(10), StartsWith("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), } "));
  EXPECT_EQ(bytes[127], '\n');
}

TEST(Npy, ReadsAllVersionsAndSpellings) {
  std::string payload = little(5, 4) + little(6, 4);
  Tensor expected = Tensor::from<int32_t>({2}, {5, 6});
  EXPECT_TRUE(read(npy(header("<i4", "(2,)"), payload, 1))->identical(expected));
  EXPECT_TRUE(read(npy(header("<i4", "(2,)"), payload, 2))->identical(expected));
  EXPECT_TRUE(read(npy(header("<i4", "(2,)"), payload, 3))->identical(expected));
  EXPECT_TRUE(read(npy(header("=i4", "(2L,)"), payload))->identical(expected));
  EXPECT_TRUE(
      read(npy("{\"shape\":(2,),\"fortran_order\":True,\"descr\":\"<i4\"}", payload))->identical(expected));
}

TEST(Npy, ReadsBigEndian) {
  EXPECT_TRUE(read(npy(header(">i2", "(2,)"), std::string("\x01\x02\x03\x04", 4)))
                  ->identical(Tensor::from<int16_t>({2}, {0x0102, 0x0304})));
  EXPECT_TRUE(read(npy(header(">c8", "()"), std::string("\x3f\x80\0\0\x40\0\0\0", 8)))
                  ->identical(Tensor::scalar(std::complex<float>(1, 2))));
  EXPECT_TRUE(read(npy(header(">U2", "(1,)"), std::string("\0\0\0a\0\0\0b", 8)))
                  ->identical(Tensor::from<std::string>({1}, {"ab"})));
}

TEST(Npy, TransposesFortranOrder) {
  std::string payload;
  for (int i = 0; i < 24; ++i) payload.push_back(static_cast<char>(i));
  Tensor tensor = *read(npy(header("|u1", "(2, 3, 4)", "True"), payload));
  for (int64_t i = 0; i < 2; ++i) {
    for (int64_t j = 0; j < 3; ++j) {
      for (int64_t k = 0; k < 4; ++k) EXPECT_EQ(tensor.int_at((i * 3 + j) * 4 + k), i + 2 * j + 6 * k);
    }
  }
  EXPECT_TRUE(read(npy(header("|S1", "(2, 2)", "True"), "abcd"))
                  ->identical(Tensor::from<std::string>({2, 2}, {"a", "c", "b", "d"})));
}

TEST(Npy, ReadsBoolsAsTruthValues) {
  EXPECT_TRUE(read(npy(header("|b1", "(3,)"), std::string("\0\1\7", 3)))
                  ->identical(Tensor::from<bool>({3}, {false, true, true})));
}

TEST(Npy, RefusesTypesThatTensorsLack) {
  EXPECT_THAT(error(npy(header("|O", "(1,)"), "12345678")), HasSubstr("Python objects"));
  EXPECT_THAT(error(npy(header("<V2", "(1,)"), "12")), HasSubstr("bfloat16"));
  EXPECT_THAT(error(npy(header("<f1", "(1,)"), "1")), HasSubstr("float8"));
  EXPECT_THAT(error(npy(header("<M8[ns]", "(1,)"), "12345678")), HasSubstr("dates"));
  EXPECT_THAT(error(npy(header("<f16", "(1,)"), "1234567812345678")), HasSubstr("'<f16'"));
  EXPECT_THAT(error(npy("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (1,)}", "1234")),
              HasSubstr("records"));
  EXPECT_TRUE(read(npy(header("bfloat16", "(1,)"), std::string("\x80\x3f", 2)))->dtype() == DType::kBF16);
}

TEST(Npy, RefusesSizesThatDoNotAgree) {
  EXPECT_THAT(error(npy(header("<f4", "(3,)"), "12345678")), AllOf(HasSubstr("[3]"), HasSubstr("8 bytes")));
  EXPECT_THAT(error(npy(header("<f4", "(1,)"), "12345678")), HasSubstr("does not fit"));
  EXPECT_THAT(error(npy(header("<f4", "(9223372036854775807, 16)"), "")), HasSubstr("does not fit"));
  EXPECT_THAT(error(npy(header("<U0", "(1000000000000,)"), "")), HasSubstr("width 0"));
  EXPECT_THAT(error(npy(header("<f4", "(-1,)"), "")), HasSubstr("extent"));
  Limits limits;
  limits.tensor_bytes = 4;
  EXPECT_NE(error(npy(header("<f4", "(2,)"), "12345678"), limits), "");
  limits.rank = 1;
  EXPECT_THAT(error(npy(header("<f4", "(1, 1)"), "1234"), limits), HasSubstr("rank 2, the limit is 1"));
}

TEST(Npy, RefusesOtherFiles) {
  EXPECT_THAT(error(""), HasSubstr("0 bytes are too few"));
  EXPECT_THAT(error("not an array at all"), HasSubstr("not a .npy array"));
  EXPECT_THAT(error(npy(header("<f4", "(1,)"), "1234", 4)), HasSubstr("version 4"));
  EXPECT_THAT(error(npy("{'descr': '<f4'}", "")), HasSubstr("no 'fortran_order'"));
  EXPECT_THAT(error(npy("[1]", "")), HasSubstr("where '{' is expected"));
  EXPECT_THAT(error(npy(header("<U1", "(1,)"), little(0xd800, 4))), HasSubstr("not a Unicode character"));
  EXPECT_THAT(read_npy("missing.npy").error().message, StartsWith("missing.npy: No such file"));
}

}  // namespace
}  // namespace gannet
