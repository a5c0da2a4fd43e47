#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/support/run_op.h"

namespace gannet::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

Attributes to(DType dtype) { return {{"to", dtype}}; }

TEST(Cast, IntegersKeepTheirLowBits) {
  EXPECT_THAT(result_of("Cast", {Tensor::from<int16_t>({2}, {200, -1})}, to(DType::kI8)).ints(), ElementsAre(-56, -1));
  EXPECT_THAT(result_of("Cast", {Tensor::from<int64_t>({2}, {17, -3})}, to(DType::kU4)).ints(), ElementsAre(1, 13));
  EXPECT_THAT(result_of("Cast", {Tensor::from<float>({3}, {-0.0f, 0.5f, -2.9f})}, to(DType::kBool)).ints(), ElementsAre(0, 1, 1));
  EXPECT_THAT(result_of("Cast", {Tensor::from<float>({2}, {2.9f, -2.9f})}, to(DType::kI32)).ints(), ElementsAre(2, -2));
}

TEST(Cast, StringsSpellNumbers) {
  Tensor texts = Tensor::from<std::string>({5}, {"1e-5", "+INF", "-inf", " 3.5 ", "7"});
  EXPECT_THAT(numbers_of(result_of("Cast", {texts}, to(DType::kF64))), ElementsAre(1e-5, kInfinity, -kInfinity, 3.5, 7));
  EXPECT_THAT(result_of("Cast", {Tensor::from<std::string>({2}, {"9223372036854775807", "100.5"})}, to(DType::kI64)).ints(),
              ElementsAre(std::numeric_limits<int64_t>::max(), 100));
  EXPECT_THAT(error_of("Cast", {Tensor::from<std::string>({1}, {"Hello World!"})}, to(DType::kF32)), HasSubstr("'Hello World!' is not a number"));
  const Tensor spelled = result_of("Cast", {Tensor::from<float>({2}, {0.1f, 314.15926f})}, to(DType::kString));
  EXPECT_THAT(spelled.data<std::string>(), ElementsAre("0.1", "314.15927"));
}

TEST(Cast, Float8SaturatesUnlessToldNot) {
  Tensor x = Tensor::from<float>({3}, {1e6f, -1e6f, 1.0f});
  EXPECT_THAT(numbers_of(result_of("Cast", {x}, to(DType::kF8E5M2))), ElementsAre(57344, -57344, 1));
  EXPECT_THAT(numbers_of(result_of("Cast", {x}, {{"to", DType::kF8E5M2}, {"saturate", int64_t{0}}})), ElementsAre(kInfinity, -kInfinity, 1));
  EXPECT_THAT(numbers_of(result_of("Cast", {Tensor::from<float>({1}, {3.0f})}, {{"to", DType::kF8E8M0}, {"round_mode", std::string("down")}})),
              ElementsAre(2));
  EXPECT_THAT(error_of("Cast", {x}, {{"to", DType::kF8E8M0}, {"round_mode", std::string("sideways")}}), HasSubstr("sideways"));
}

TEST(Cast, BitsAreKept) {
  EXPECT_THAT(result_of("BitCast", {Tensor::from<float>({1}, {1.0f})}, to(DType::kI32)).ints(), ElementsAre(0x3f800000));
  const Tensor u4 = result_of("Cast", {Tensor::from<int64_t>({2}, {15, 7})}, to(DType::kU4));
  EXPECT_THAT(result_of("BitCast", {u4}, to(DType::kI4)).ints(), ElementsAre(-1, 7));
  EXPECT_THAT(error_of("BitCast", {u4}, to(DType::kI8)), HasSubstr("u4 of 4 bits cannot be read as i8 of 8 bits"));
}

TEST(Cast, CastLikeTakesTheTypeOnly) {
  EXPECT_THAT(inferred("CastLike", {"f32[n]", "i8"}), ElementsAre("i8[n]"));
  expect_gradient("CastLike", {random_tensor({3}, 1), Tensor::zeros(DType::kF64, {1})}, {}, {0});
}

}  // namespace
}  // namespace gannet::test
