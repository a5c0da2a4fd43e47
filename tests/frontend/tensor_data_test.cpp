#include "frontend/tensor_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "frontend/skeleton.h"
#include "tests/frontend/wire_message.h"

namespace gannet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Result<Tensor> read(const WireMessage& message, const Limits& limits = {}) {
  FileBytes file = bytes_in_memory(message.bytes());
  std::string skeleton = TRY(make_skeleton(file.span(), Message::kTensor, limits));
  onnx::TensorProto proto;
  if (!proto.ParseFromString(skeleton)) return invalid_model("not parsed");
  return read_tensor(proto, TensorSource{file, nullptr}, limits);
}

std::string error_of(const WireMessage& message, const Limits& limits = {}) {
  Result<Tensor> tensor = read(message, limits);
  return tensor.ok() ? "" : tensor.error().message;
}

// Elements with different bits; bools and sub-byte kinds within their range.
Tensor sample(DType dtype, std::vector<int64_t> extents) {
  Tensor tensor = Tensor::zeros(dtype, std::move(extents));
  if (dtype == DType::kString) {
    for (std::string& text : tensor.mutable_data<std::string>()) text = "text \xc3\xa4";
    return tensor;
  }
  auto* bytes = static_cast<uint8_t*>(tensor.mutable_raw());
  int bits = static_cast<int>(element_bits(dtype));
  for (int64_t i = 0; i < tensor.bytes(); ++i) {
    if (dtype == DType::kBool)
      bytes[i] = i % 3 == 0;
    else if (bits >= 8)
      bytes[i] = static_cast<uint8_t>(i * 37 + 11);
    else if (is_signed_int(dtype))
      bytes[i] = static_cast<uint8_t>(i % (1 << bits) - (1 << (bits - 1)));
    else
      bytes[i] = static_cast<uint8_t>(i % (1 << bits));
  }
  return tensor;
}

TEST(TensorData, EveryDTypeSurvivesWritingAndReading) {
  for (int number = 1; number < kDTypeCount; ++number) {
    DType dtype = static_cast<DType>(number);
    for (std::vector<int64_t> extents : {std::vector<int64_t>{3, 7}, {}, {0}, {2, 0, 5}, {1}, {16}}) {
      Tensor tensor = sample(dtype, extents);
      WireMessage message;
      onnx::TensorProto proto;
      ASSERT_TRUE(proto.ParseFromString(write_tensor(tensor, "t")));
      EXPECT_EQ(proto.name(), "t");
      Result<Tensor> same = read_tensor(proto, TensorSource{}, {});
      ASSERT_TRUE(same.ok()) << same.error().message;
      EXPECT_TRUE(same->identical(tensor)) << type_string(tensor);
    }
  }
}

TEST(TensorData, AlignedRawDataAreNotCopied) {
  std::string content(64, '\x01');
  for (int64_t shift = 0; shift < 8; ++shift) {
    WireMessage message =
        tensor_message(std::string(static_cast<size_t>(shift), 'n'), 1, {16}).text(9, content);
    FileBytes file = bytes_in_memory(message.bytes());
    onnx::TensorProto proto;
    ASSERT_TRUE(proto.ParseFromString(make_skeleton(file.span(), Message::kTensor, {}).value()));
    Tensor tensor = read_tensor(proto, TensorSource{file, nullptr}, {}).value();
    const auto* raw = static_cast<const std::byte*>(tensor.raw());
    bool inside = raw >= file.data && raw < file.data + file.size;
    EXPECT_EQ(inside, reinterpret_cast<uintptr_t>(file.data + raw_location_of(proto)->offset) % 4 == 0);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(raw) % 4, 0u);
    EXPECT_EQ(std::memcmp(raw, content.data(), 64), 0);
  }
}

TEST(TensorData, PackedKindsAreLowBitsFirst) {
  Tensor u4 = read(tensor_message("t", 21, {3}).text(9, "\x21\x0f")).value();
  EXPECT_THAT(u4.ints(), ElementsAre(1, 2, 15));
  Tensor i4 = read(tensor_message("t", 22, {3}).packed(5, {0x21, 0xf8})).value();
  EXPECT_THAT(i4.ints(), ElementsAre(1, 2, -8));
  Tensor i2 = read(tensor_message("t", 26, {5}).text(9, "\xe4\x02")).value();
  EXPECT_THAT(i2.ints(), ElementsAre(0, 1, -2, -1, -2));
  Tensor u2 = read(tensor_message("t", 25, {4}).packed(5, {0xe4})).value();
  EXPECT_THAT(u2.ints(), ElementsAre(0, 1, 2, 3));
}

TEST(TensorData, TypedFields) {
  EXPECT_EQ(read(tensor_message("t", 1, {2}).fixed<float>(4, {1, 2.5f})).value().double_at(1), 2.5);
  EXPECT_EQ(read(tensor_message("t", 11, {}).fixed<double>(10, {2.5})).value().double_at(0), 2.5);
  EXPECT_THAT(read(tensor_message("t", 3, {3}).packed(5, {-128, 127, 200})).value().ints(),
              ElementsAre(-128, 127, -56));
  EXPECT_THAT(read(tensor_message("t", 2, {2}).packed(5, {255, 0})).value().ints(), ElementsAre(255, 0));
  EXPECT_THAT(read(tensor_message("t", 6, {2}).packed(5, {INT32_MIN, 5})).value().ints(),
              ElementsAre(INT32_MIN, 5));
  EXPECT_THAT(read(tensor_message("t", 7, {1}).packed(7, {INT64_MIN})).value().ints(),
              ElementsAre(INT64_MIN));
  EXPECT_THAT(read(tensor_message("t", 9, {3}).packed(5, {0, 1, 7})).value().ints(), ElementsAre(0, 1, 1));
  EXPECT_EQ(read(tensor_message("t", 10, {1}).packed(5, {0x3c00})).value().double_at(0), 1.0);
  EXPECT_EQ(read(tensor_message("t", 16, {1}).packed(5, {0xbf80})).value().double_at(0), -1.0);
  EXPECT_EQ(read(tensor_message("t", 17, {1}).packed(5, {0x38})).value().double_at(0), 1.0);
  EXPECT_THAT(read(tensor_message("t", 12, {1}).packed(11, {UINT32_MAX})).value().ints(),
              ElementsAre(UINT32_MAX));
  EXPECT_EQ(read(tensor_message("t", 13, {1}).packed(11, {-1})).value().data<uint64_t>()[0], UINT64_MAX);
  EXPECT_EQ(read(tensor_message("t", 14, {1}).fixed<float>(4, {1, 2}))
                .value()
                .data<std::complex<float>>()[0]
                .imag(),
            2);
  EXPECT_EQ(read(tensor_message("t", 8, {2}).text(6, "a").text(6, "b")).value().data<std::string>()[1], "b");
}

TEST(TensorData, BoolsOtherThanOneBecomeTrue) {
  Tensor tensor = read(tensor_message("t", 9, {3}).text(9, std::string("\x00\x01\x80", 3))).value();
  EXPECT_EQ(static_cast<const uint8_t*>(tensor.raw())[2], 1);
}

TEST(TensorData, WrongCountsNameBothNumbers) {
  EXPECT_EQ(error_of(tensor_message("w", 1, {2, 2}).text(9, "12345678")),
            "tensor 'w': 8 bytes of raw data, but f32[2, 2] needs 16");
  EXPECT_EQ(error_of(tensor_message("w", 1, {3}).fixed<float>(4, {1})),
            "tensor 'w': float_data holds 1 values, but f32[3] needs 3");
  EXPECT_EQ(error_of(tensor_message("w", 1, {3})),
            "tensor 'w': float_data holds 0 values, but f32[3] needs 3");
  EXPECT_THAT(error_of(tensor_message("w", 14, {1}).fixed<float>(4, {1})), HasSubstr("holds 1 values"));
  EXPECT_THAT(error_of(tensor_message("w", 22, {3}).packed(5, {1})), HasSubstr("holds 1 values"));
  EXPECT_THAT(error_of(tensor_message("w", 2, {1}).packed(5, {300})),
              HasSubstr("300, which is not a value of u8"));
  EXPECT_THAT(error_of(tensor_message("w", 12, {1}).packed(11, {-1})), HasSubstr("not a value of u32"));
}

TEST(TensorData, RefusesDimensionsThatCannotBe) {
  EXPECT_THAT(error_of(tensor_message("w", 1, {-1})), HasSubstr("dimension -1 of f32[-1] is negative"));
  EXPECT_THAT(error_of(tensor_message("w", 1, {int64_t{1} << 62, 4})),
              HasSubstr("more than 9223372036854775807"));
  EXPECT_THAT(error_of(tensor_message("w", 1, {int64_t{1} << 62})), HasSubstr("the limit elements is"));
  Limits wide;
  wide.elements = wide.tensor_bytes = INT64_MAX;
  EXPECT_THAT(error_of(tensor_message("w", 15, {int64_t{1} << 62}), wide), HasSubstr("elements of 16 bytes"));
  EXPECT_THAT(error_of(tensor_message("w", 2, {int64_t{1} << 62}), wide),
              HasSubstr("int32_data holds 0 values"));
  EXPECT_THAT(error_of(tensor_message("w", 22, {INT64_MAX}), wide), HasSubstr("needs 4611686018427387904"));
  WireMessage deep;
  for (int i = 0; i < 65; ++i) deep.number(1, 1);
  EXPECT_THAT(error_of(deep.number(2, 1)), HasSubstr("65 dimensions, the limit rank is 64"));
}

TEST(TensorData, RefusesWhatContradictsItself) {
  EXPECT_THAT(error_of(tensor_message("w", 0, {})), HasSubstr("element type 0 is not one of"));
  EXPECT_THAT(error_of(tensor_message("w", 27, {})), HasSubstr("element type 27"));
  EXPECT_THAT(error_of(tensor_message("w", 8, {1}).text(9, "a")), HasSubstr("strings cannot be raw"));
  EXPECT_THAT(error_of(tensor_message("w", 1, {1}).text(9, "1234").fixed<float>(4, {1})),
              HasSubstr("both 4 bytes"));
  WireMessage segment = WireMessage().number(1, 0).number(2, 1);
  EXPECT_THAT(error_of(tensor_message("w", 1, {1}).text(9, "1234").child(3, segment)), HasSubstr("segments"));
  EXPECT_THAT(error_of(tensor_message("w", 1, {1}).number(14, 1)), HasSubstr("there is no location"));
}

Result<Tensor> read_sparse(const WireMessage& values, const WireMessage& indices,
                           std::initializer_list<int64_t> dims) {
  onnx::SparseTensorProto proto;
  EXPECT_TRUE(
      proto.ParseFromString(WireMessage().child(1, values).child(2, indices).packed(3, dims).bytes()));
  return read_sparse_tensor(proto, TensorSource{}, {});
}

TEST(TensorData, SparseTensorsBecomeDense) {
  WireMessage values = tensor_message("s", 6, {2}).packed(5, {5, 6});
  WireMessage linear = tensor_message("", 7, {2}).packed(7, {1, 3});
  EXPECT_THAT(read_sparse(values, linear, {2, 2}).value().ints(), ElementsAre(0, 5, 0, 6));
  WireMessage coordinates = tensor_message("", 7, {2, 2}).packed(7, {0, 0, 1, 0});
  EXPECT_THAT(read_sparse(values, coordinates, {2, 2}).value().ints(), ElementsAre(5, 0, 6, 0));
  EXPECT_EQ(read_sparse(values, linear, {3}).error().message,
            "sparse tensor 's': index 3 lies outside of 3 elements");
  EXPECT_THAT(read_sparse(values, coordinates, {1, 2}).error().message,
              HasSubstr("index 1 lies outside of dimension 0"));
  EXPECT_THAT(read_sparse(values, coordinates, {2, 2, 2}).error().message, HasSubstr("i64[2] or i64[2, 3]"));
  EXPECT_THAT(read_sparse(values, linear, {int64_t{1} << 62}).error().message, HasSubstr("limit elements"));
}

}  // namespace
}  // namespace gannet
