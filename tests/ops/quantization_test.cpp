#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/support/run_op.h"

namespace gannet::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

TEST(QuantizeLinear, RoundsToEvenAndSaturates) {
  const Tensor x = Tensor::from<float>({6}, {1, 3, -1, kInfinity, -kInfinity, kNaN}),
               two = Tensor::scalar<float>(2);
  EXPECT_THAT(result_of("QuantizeLinear", {x, two, Tensor::scalar<uint8_t>(10)}).ints(),
              ElementsAre(10, 12, 10, 255, 0, 10));
  EXPECT_THAT(result_of("QuantizeLinear", {x, two}, {{"output_dtype", DType::kI4}}).ints(),
              ElementsAre(0, 2, 0, 7, -8, 0));
  EXPECT_THAT(result_of("QuantizeLinear", {x, two}, {{"output_dtype", DType::kI16}}).ints(),
              ElementsAre(0, 2, 0, 32767, -32768, 0));
  EXPECT_EQ(result_of("QuantizeLinear", {x, two}).dtype(), DType::kU8);
  const Tensor large = Tensor::from<float>({1}, {1e9f});
  EXPECT_THAT(numbers_of(result_of("QuantizeLinear", {large, two}, {{"output_dtype", DType::kF8E4M3FN}})),
              ElementsAre(448));
  EXPECT_THAT(numbers_of(result_of("QuantizeLinear", {large, two},
                                   {{"output_dtype", DType::kF8E5M2}, {"saturate", int64_t{0}}})),
              ElementsAre(kInfinity));
}

TEST(QuantizeLinear, AlongAxesAndInBlocks) {
  const Tensor x = Tensor::from<float>({2, 3}, {2, 4, 6, 8, 10, 12});
  EXPECT_THAT(result_of("QuantizeLinear", {x, Tensor::from<float>({3}, {1, 2, 3})}).ints(),
              ElementsAre(2, 2, 2, 8, 5, 4));
  EXPECT_THAT(
      result_of("QuantizeLinear", {x, Tensor::from<float>({2}, {1, 2})}, {{"axis", int64_t{-2}}}).ints(),
      ElementsAre(2, 4, 6, 4, 5, 6));
  const Attributes blocks = {{"block_size", int64_t{2}}};
  EXPECT_THAT(result_of("QuantizeLinear", {x, Tensor::from<float>({2, 2}, {1, 2, 4, 1})}, blocks).ints(),
              ElementsAre(2, 4, 3, 2, 2, 12));
  EXPECT_THAT(error_of("QuantizeLinear", {x, Tensor::from<float>({2, 3}, {1, 1, 1, 1, 1, 1})}, blocks),
              HasSubstr("dimension 1 of the scale is 3, blocks of 2 along axis 1 need 2"));
  EXPECT_THAT(error_of("QuantizeLinear", {x, Tensor::from<float>({2}, {1, 1})}),
              HasSubstr("2 scales for 3 elements along axis 1"));
  EXPECT_THAT(error_of("QuantizeLinear",
                       {x, Tensor::from<float>({3}, {1, 1, 1}), Tensor::from<uint8_t>({2}, {0, 0})}),
              HasSubstr("the scale has shape [3], the zero point [2]"));
  EXPECT_THAT(error_of("QuantizeLinear", {x, Tensor::scalar<float>(1)},
                       {{"axis", int64_t{5}}, {"output_dtype", DType::kI64}}),
              HasSubstr("i64 is not a type to quantize to"));
  EXPECT_THAT(error_of("QuantizeLinear", {x, Tensor::scalar<float>(1), Tensor::scalar<uint8_t>(1)},
                       {{"output_dtype", DType::kI8}}),
              HasSubstr("output_dtype i8 differs from the zero point's u8"));
}

TEST(DequantizeLinear, IsExactForWideIntegers) {
  const Tensor x = Tensor::from<int32_t>({1}, {std::numeric_limits<int32_t>::max()});
  EXPECT_THAT(numbers_of(result_of("DequantizeLinear",
                                   {x, Tensor::scalar<float>(1),
                                    Tensor::scalar<int32_t>(std::numeric_limits<int32_t>::max() - 3)})),
              ElementsAre(3));
  const Tensor u8 = Tensor::from<uint8_t>({2}, {0, 255});
  EXPECT_THAT(numbers_of(result_of("DequantizeLinear",
                                   {u8, Tensor::scalar<float>(0.5f), Tensor::scalar<uint8_t>(128)})),
              ElementsAre(-64, 63.5));
  EXPECT_THAT(inferred("DequantizeLinear", {"i8[n, 4]", "f16[4]", "i8[4]"}), ElementsAre("f16[n, 4]"));
  EXPECT_THAT(error_of("DequantizeLinear", {u8, Tensor::scalar<float>(0.5f), Tensor::scalar<int8_t>(1)}),
              HasSubstr("must have one element type"));
  EXPECT_EQ(
      result_of("DequantizeLinear", {Tensor::zeros(DType::kU8, {0, 3}), Tensor::from<float>({3}, {1, 1, 1})})
          .extents(),
      (std::vector<int64_t>{0, 3}));
}

TEST(DynamicQuantizeLinear, KeepsZeroExact) {
  EXPECT_THAT(numbers_of("DynamicQuantizeLinear", {Tensor::from<float>({2}, {1, 255})}, {}, 3),
              ElementsAre(ElementsAre(1, 255), ElementsAre(1), ElementsAre(0)));
  EXPECT_THAT(numbers_of("DynamicQuantizeLinear", {Tensor::zeros(DType::kF32, {2})}, {}, 3),
              ElementsAre(ElementsAre(0, 0), ElementsAre(1), ElementsAre(0)));
  EXPECT_THAT(numbers_of("DynamicQuantizeLinear", {Tensor::from<float>({1}, {-kInfinity})}, {}, 3)[2],
              ElementsAre(0));
}

}  // namespace
}  // namespace gannet::test
