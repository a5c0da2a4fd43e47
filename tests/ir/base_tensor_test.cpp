#include "ir/base/tensor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "ir/base/datum.h"

namespace gannet {
namespace {

constexpr int64_t kLargest = std::numeric_limits<int64_t>::max();

std::string refusal(DType dtype, std::vector<int64_t> extents, const Limits& limits = {}) {
  const Result<Tensor> tensor = Tensor::allocate(dtype, std::move(extents), limits);
  return tensor.ok() ? "" : tensor.error().message;
}

TEST(Tensor, ZerosAreAlignedAndZero) {
  for (int64_t extent : {0, 1, 7, 100'000}) {
    const Tensor tensor = Tensor::zeros(DType::kF32, {extent, 3});
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.raw()) % 64, 0u);
    EXPECT_EQ(tensor.elements(), extent * 3);
    EXPECT_EQ(tensor.bytes(), extent * 12);
    for (float x : tensor.data<float>()) ASSERT_EQ(x, 0);
  }
}

TEST(Tensor, LargeZerosTakeNoMemoryUntilUsed) {
  const Tensor tensor = Tensor::zeros(DType::kU8, {int64_t{4} << 30});
  EXPECT_EQ(tensor.data<uint8_t>()[3'000'000'000], 0);
}

TEST(Tensor, CopiesShareUntilOneWrites) {
  const Tensor original = Tensor::from<int64_t>({3}, {1, 2, 3});
  Tensor copy = original;
  EXPECT_EQ(copy.raw(), original.raw());
  copy.mutable_data<int64_t>()[0] = 9;
  EXPECT_NE(copy.raw(), original.raw());
  EXPECT_EQ(original.ints(), (std::vector<int64_t>{1, 2, 3}));
  EXPECT_EQ(copy.ints(), (std::vector<int64_t>{9, 2, 3}));
  const void* address = copy.raw();
  copy.mutable_data<int64_t>()[1] = 8;
  EXPECT_EQ(copy.raw(), address);
}

TEST(Tensor, StringsCopyAndCompare) {
  const Tensor original = Tensor::from<std::string>({2}, {"a string longer than the small buffer", "b"});
  Tensor copy = original;
  EXPECT_TRUE(copy.identical(original));
  copy.mutable_data<std::string>()[1] = "c";
  EXPECT_FALSE(copy.identical(original));
  EXPECT_EQ(original.data<std::string>()[1], "b");
  EXPECT_EQ(Tensor::zeros(DType::kString, {2}).data<std::string>()[0], "");
}

TEST(Tensor, ViewsKeepTheirOwnerAndAreNeverWritten) {
  auto owner = std::make_shared<std::vector<float>>(std::vector<float>{1, 2});
  const std::weak_ptr<std::vector<float>> alive = owner;
  Tensor view = Tensor::view(DType::kF32, {2}, owner->data(), owner);
  const std::vector<float>& memory = *owner;
  owner.reset();
  EXPECT_FALSE(alive.expired());
  EXPECT_EQ(memory[0], 1);
  Tensor copy = view;
  copy.mutable_data<float>()[0] = 5;
  EXPECT_EQ(view.data<float>()[0], 1);
  view.mutable_data<float>()[0] = 6;
  EXPECT_TRUE(alive.expired());
}

TEST(Tensor, ReshapedSharesTheData) {
  const Tensor tensor = Tensor::from<float>({2, 3}, {1, 2, 3, 4, 5, 6});
  const Tensor reshaped = tensor.reshaped({3, 2});
  EXPECT_EQ(reshaped.raw(), tensor.raw());
  EXPECT_EQ(type_string(reshaped), "f32[3, 2]");
  EXPECT_FALSE(reshaped.identical(tensor));
}

TEST(Tensor, AllocateRefusesWhatDoesNotFit) {
  EXPECT_EQ(refusal(DType::kF32, {2, 3}), "");
  EXPECT_EQ(refusal(DType::kF32, {2, -3}), "tensor f32[2, -3] has the negative extent -3");
  EXPECT_EQ(refusal(DType::kF32, {kLargest, 2}),
            "the element count of tensor f32[9223372036854775807, 2] overflows");
  EXPECT_EQ(refusal(DType::kU8, {int64_t{1} << 41}),
            "tensor u8[2199023255552] has 2199023255552 elements, beyond the limit elements=1099511627776");
  EXPECT_EQ(refusal(DType::kF64, {int64_t{1} << 32}),
            "tensor f64[4294967296] takes 34359738368 bytes, beyond the limit tensor-bytes=17179869184");
  EXPECT_NE(refusal(DType::kString, {int64_t{1} << 30}), "");
  EXPECT_EQ(refusal(DType::kF32, std::vector<int64_t>(65, 1)),
            "a tensor of rank 65 is beyond the limit rank=64");
  EXPECT_NE(refusal(DType::kUndefined, {1}), "");
  EXPECT_EQ(refusal(DType::kF32, {kLargest, kLargest, 0}), "");
}

TEST(Tensor, ScalarsConvert) {
  EXPECT_EQ(Tensor::scalar_of(DType::kF16, 1.5).double_at(0), 1.5);
  EXPECT_EQ(Tensor::scalar_of(DType::kI8, -3.9).int_at(0), -3);
  EXPECT_EQ(Tensor::scalar_of(DType::kBool, 2).int_at(0), 1);
  EXPECT_EQ(Tensor::scalar_of(DType::kF8E4M3FN, 448).double_at(0), 448);
  EXPECT_EQ(Tensor::scalar_of(DType::kU4, 9).int_at(0), 9);
  EXPECT_EQ(Tensor::scalar_of(DType::kC64, 2).data<std::complex<float>>()[0], std::complex<float>(2));
  EXPECT_EQ(Tensor::scalar(3.0f).rank(), 0);
}

TEST(Tensor, ConvertKeepsLowBitsAndRoundsOnce) {
  const auto converted = [](const Tensor& tensor, DType dtype) { return *convert(tensor, dtype); };
  EXPECT_EQ(converted(Tensor::scalar<int64_t>(300), DType::kU8).int_at(0), 44);
  EXPECT_EQ(converted(Tensor::scalar<int64_t>(200), DType::kI8).int_at(0), -56);
  EXPECT_EQ(converted(Tensor::scalar<int64_t>(9), DType::kI4).int_at(0), -7);
  EXPECT_EQ(converted(Tensor::scalar(-2.7f), DType::kI32).int_at(0), -2);
  EXPECT_EQ(converted(Tensor::scalar(1e19), DType::kU64).data<uint64_t>()[0], 10'000'000'000'000'000'000u);
  EXPECT_EQ(converted(Tensor::scalar(0.25f), DType::kBool).int_at(0), 1);
  EXPECT_EQ(converted(Tensor::scalar(true), DType::kF32).double_at(0), 1);
  EXPECT_EQ(converted(Tensor::scalar<uint64_t>(~uint64_t{0}), DType::kF64).double_at(0), 0x1p64);
  // By way of f32 it would round to a tie, and then down.
  const double above_tie = 1 + 0x1p-8 + 0x1p-40;
  EXPECT_EQ(converted(Tensor::scalar(above_tie), DType::kBF16).double_at(0), 1 + 0x1p-7);
  for (double odd : {std::nan(""), HUGE_VAL, -HUGE_VAL, 1e300}) {
    for (DType dtype : {DType::kI8, DType::kU64, DType::kI64, DType::kU4, DType::kI32}) {
      EXPECT_TRUE(convert(Tensor::scalar(odd), dtype).ok());
    }
  }
  EXPECT_EQ(convert(Tensor::scalar<std::string>("1"), DType::kF32).error().message,
            "cannot convert string to f32");
  EXPECT_FALSE(convert(Tensor::scalar(1.0f), DType::kC64).ok());
}

TEST(Tensor, ConvertCoversEveryPair) {
  for (int from = 1; from < kDTypeCount; ++from) {
    for (int to = 1; to < kDTypeCount; ++to) {
      const auto a = static_cast<DType>(from), b = static_cast<DType>(to);
      if (a == DType::kString || b == DType::kString || is_complex(a) || is_complex(b)) continue;
      const Result<Tensor> tensor = convert(Tensor::scalar_of(a, 1), b);
      ASSERT_TRUE(tensor.ok());
      EXPECT_EQ(tensor->double_at(0), 1) << name_of(a) << " to " << name_of(b);
      EXPECT_EQ(tensor->dtype(), b);
    }
  }
}

TEST(Tensor, IdenticalComparesBits) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(Tensor::scalar(nan).identical(Tensor::scalar(nan)));
  EXPECT_FALSE(Tensor::scalar(0.0f).identical(Tensor::scalar(-0.0f)));
  EXPECT_FALSE(Tensor::scalar(0.0f).identical(Tensor::scalar<int32_t>(0)));
  EXPECT_TRUE(Tensor().identical(Tensor()));
}

TEST(Tensor, Strides) {
  EXPECT_EQ(row_major_strides(std::vector<int64_t>{2, 3, 4}), (std::vector<int64_t>{12, 4, 1}));
  EXPECT_TRUE(row_major_strides({}).empty());
  row_major_strides(std::vector<int64_t>{0, kLargest, kLargest});
}

TEST(TensorDeathTest, WrongTypesAreOurOwnErrors) {
  EXPECT_DEATH(Tensor::scalar(1.0f).data<double>(), "the tensor holds f32");
  EXPECT_DEATH(Tensor::scalar(1.0f).reshaped({2}), "reshaped");
  EXPECT_DEATH(Tensor::zeros(DType::kF32, {kLargest}), "elements of f32");
}

TEST(Datum, KindsAndTypes) {
  const Datum tensor = Tensor::from<float>({2}, {1, 2});
  EXPECT_EQ(to_string(tensor.type()), "f32[2]");
  EXPECT_EQ(tensor.bytes(), 8);
  const Datum sequence = Datum::sequence({tensor, tensor}, Type::tensor(DType::kF32));
  EXPECT_EQ(to_string(sequence.type()), "seq(f32)");
  EXPECT_EQ(sequence.elements().size(), 2u);
  EXPECT_EQ(sequence.bytes(), 16);
  const Datum optional = Datum::optional(sequence);
  EXPECT_TRUE(optional.has_element());
  EXPECT_EQ(optional.element().kind(), Datum::Kind::kSequence);
  EXPECT_EQ(to_string(optional.type()), "optional(seq(f32))");
  EXPECT_FALSE(Datum::empty_optional(Type::tensor(DType::kI64)).has_element());
  EXPECT_FALSE(Datum().present());
  EXPECT_EQ(Datum(Tensor::from<std::string>({1}, {"abc"})).bytes(),
            static_cast<int64_t>(sizeof(std::string)) + 3);
}

}  // namespace
}  // namespace gannet
