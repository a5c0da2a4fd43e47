#include "runtime/data/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace gannet {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string reason(const Datum& actual, const Datum& expected, const Tolerance& tolerance = {}) {
  return difference(actual, expected, tolerance).value_or("");
}
Tensor floats(std::initializer_list<float> values) {
  return Tensor::from<float>({static_cast<int64_t>(values.size())}, values);
}

TEST(Compare, AllowsRounding) {
  EXPECT_EQ(reason(floats({1.0005f, NAN, INFINITY, 0}), floats({1, NAN, INFINITY, 0})), "");
  EXPECT_EQ(reason(floats({1e-8f}), floats({0})), "");
  EXPECT_EQ(reason(floats({0.5f, 100}), floats({0, 100}), {0, 0, 0.01}), "");
  EXPECT_NE(reason(floats({1.5f, 100}), floats({0, 100}), {0, 0, 0.01}), "");
  EXPECT_EQ(reason(Tensor(), Tensor()), "");
  EXPECT_EQ(reason(Tensor::zeros(DType::kF32, {0}), Tensor::zeros(DType::kF32, {0})), "");
}

TEST(Compare, NamesTheWorst) {
  Tensor actual = Tensor::from<float>({2, 2}, {1, 2.5f, 3, 7}),
         expected = Tensor::from<float>({2, 2}, {1, 2, 3, 4});
  EXPECT_EQ(
      reason(actual, expected),
      "2 of 4 elements differ by more than 1e-07 + 0.001 * |expected|; worst by 3 at [1, 1]: 7, expected 4");
}

TEST(Compare, NothingMakesUpForNanAndInfinity) {
  Tolerance loose{10, 1000, 10};
  EXPECT_THAT(reason(floats({9, NAN}), floats({1, 1}), loose), HasSubstr("worst at [1]: nan, expected 1"));
  EXPECT_NE(reason(floats({1}), floats({NAN}), loose), "");
  EXPECT_NE(reason(floats({INFINITY}), floats({-INFINITY}), loose), "");
  EXPECT_NE(reason(floats({1}), floats({INFINITY}), loose), "");
  EXPECT_NE(reason(floats({INFINITY}), floats({1}), loose), "");
}

TEST(Compare, TypesAndShapes) {
  EXPECT_EQ(reason(floats({1}), Tensor::scalar(1.0)), "f32[1], expected f64[]");
  EXPECT_EQ(reason(floats({1}), floats({1, 2})), "f32[1], expected f32[2]");
  EXPECT_EQ(reason(Datum(), floats({1})), "nothing, expected a tensor");
}

TEST(Compare, ExactTypes) {
  Tolerance loose{1, 1, 1};
  EXPECT_THAT(
      reason(Tensor::scalar(int64_t{9007199254740993}), Tensor::scalar(int64_t{9007199254740992}), loose),
      AllOf(HasSubstr("1 of 1 elements differ; "), HasSubstr("9007199254740993, expected 9007199254740992")));
  EXPECT_EQ(reason(Tensor::scalar(true), Tensor::scalar(false), loose),
            "1 of 1 elements differ; first at []: true, expected false");
  EXPECT_NE(reason(Tensor::scalar(std::string("a")), Tensor::scalar(std::string("b")), loose), "");
  EXPECT_EQ(reason(Tensor::scalar<uint8_t>(100), Tensor::scalar<uint8_t>(101), {0, 1, 0}), "");
  EXPECT_NE(reason(Tensor::scalar<uint8_t>(100), Tensor::scalar<uint8_t>(101)), "");
}

TEST(Compare, EveryTypeEqualsItself) {
  for (int number = 1; number < kDTypeCount; ++number) {
    Tensor tensor = Tensor::zeros(static_cast<DType>(number), {3});
    EXPECT_EQ(reason(tensor, tensor), "") << type_string(tensor);
  }
}

TEST(Compare, ComplexByMagnitude) {
  auto complex = [](float real, float imaginary) {
    return Tensor::scalar(std::complex<float>(real, imaginary));
  };
  EXPECT_EQ(reason(complex(0, 1000.5f), complex(0.5f, 1000)), "");
  EXPECT_NE(reason(complex(0, 1002), complex(0, 1000)), "");
  EXPECT_NE(reason(complex(NAN, 0), complex(0, 0)), "");
  EXPECT_NE(reason(complex(INFINITY, NAN), complex(INFINITY, 0)), "");
  EXPECT_NE(reason(complex(NAN, INFINITY), complex(0, 0)), "");
}

TEST(Compare, SequencesAndOptionals) {
  Type type = Type::tensor(DType::kF32);
  Datum one = Datum::sequence({floats({1}), floats({2})}, type),
        other = Datum::sequence({floats({1}), floats({3})}, type);
  EXPECT_EQ(reason(one, one), "");
  EXPECT_THAT(reason(one, other), testing::StartsWith("element 1: 1 of 1 elements differ"));
  EXPECT_EQ(reason(one, Datum::sequence({}, type)), "a sequence of 2 elements, expected 0");
  EXPECT_EQ(reason(Datum::optional(floats({1})), Datum::optional(floats({1}))), "");
  EXPECT_NE(reason(Datum::optional(floats({1})), Datum::optional(floats({2}))), "");
  EXPECT_EQ(reason(Datum::empty_optional(type), Datum::optional(floats({2}))),
            "an optional that is empty, expected one that holds something");
}

}  // namespace
}  // namespace gannet
