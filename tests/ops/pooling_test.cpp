#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/support/run_op.h"

namespace gannet::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsNan;
using Ints = std::vector<int64_t>;

Tensor line(std::initializer_list<double> values) {
  return Tensor::from<double>({1, 1, static_cast<int64_t>(values.size())}, values);
}

TEST(MaxPool, GivesWhereTheMaximaStand) {
  const Tensor x = Tensor::from<float>({1, 2, 2, 3}, {1, 5, 2, 5, 0, 3, 9, 8, 7, 6, 5, 4});
  const Attributes attrs = {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{1, 1}}};
  EXPECT_THAT(numbers_of("MaxPool", {x}, attrs, 2),
              ElementsAre(ElementsAre(5, 5, 9, 8), ElementsAre(1, 1, 6, 7)));
  Attributes by_columns = attrs;
  by_columns.set("storage_order", int64_t{1});
  EXPECT_THAT(numbers_of("MaxPool", {x}, by_columns, 2)[1], ElementsAre(2, 2, 6, 8));
  EXPECT_THAT(
      result_of("MaxPool", {Tensor::from<int8_t>({1, 1, 3}, {-5, -7, -128})}, {{"kernel_shape", Ints{2}}})
          .ints(),
      ElementsAre(-5, -7));
}

TEST(MaxPool, PropagatesNaN) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(numbers_of(result_of("MaxPool", {line({1, nan, 3, 4})}, {{"kernel_shape", Ints{2}}})),
              ElementsAre(IsNan(), IsNan(), 4));
  EXPECT_THAT(numbers_of("MaxPool", {line({1, nan, 3, 4})}, {{"kernel_shape", Ints{2}}}, 2)[1],
              ElementsAre(1, 1, 3));
}

TEST(Pooling, RoundedUpTheLastWindowStartsInside) {
  const Attributes attrs = {{"kernel_shape", Ints{1}}, {"strides", Ints{2}}, {"ceil_mode", int64_t{1}}};
  EXPECT_THAT(numbers_of(result_of("MaxPool", {line({1, 2, 3, 4})}, attrs)), ElementsAre(1, 3));
  const Attributes padded = {{"kernel_shape", Ints{3}},
                             {"strides", Ints{2}},
                             {"ceil_mode", int64_t{1}},
                             {"pads", Ints{1, 1}},
                             {"count_include_pad", int64_t{1}}};
  EXPECT_THAT(numbers_of(result_of("AveragePool", {line({3, 3, 3, 3})}, padded)), ElementsAre(2, 3, 1.5));
  EXPECT_THAT(inferred("MaxPool", {"f32[n, c, h]"},
                       {{"kernel_shape", Ints{2}}, {"strides", Ints{2}}, {"ceil_mode", int64_t{1}}}),
              ElementsAre("f32[n, c, floordiv(h+1, 2)]"));
  EXPECT_THAT(inferred("MaxPool", {"f32[n, c, h]"}, {{"kernel_shape", Ints{3}}, {"pads", Ints{1, 1}}}, 2),
              ElementsAre("f32[n, c, h]", "i64[n, c, h]"));
  const Attributes wider = {{"kernel_shape", Ints{3}}, {"strides", Ints{2}}, {"ceil_mode", int64_t{1}}};
  EXPECT_THAT(numbers_of(result_of("MaxPool", {line({1, 2})}, wider)), ElementsAre(2));
  EXPECT_THAT(numbers_of(result_of("AveragePool", {line({1, 2})}, wider)), ElementsAre(1.5));
  EXPECT_THAT(error_of("MaxPool", {line({1})}, wider), HasSubstr("the kernel spans 3 elements"));
}

TEST(AveragePool, CountsWhatLiesInside) {
  const Attributes attrs = {{"kernel_shape", Ints{3}}, {"pads", Ints{1, 1}}};
  EXPECT_THAT(numbers_of(result_of("AveragePool", {line({2, 4, 6})}, attrs)), ElementsAre(3, 4, 5));
  const Attributes holes = {{"kernel_shape", Ints{2}}, {"dilations", Ints{3}}, {"pads", Ints{1, 1}}};
  EXPECT_THAT(numbers_of(result_of("AveragePool", {line({2, 4, 6})}, holes)), ElementsAre(6, 2));
}

TEST(Pooling, HasGradients) {
  const Tensor x = random_tensor({2, 2, 5, 6}, 1);
  const Attributes attrs = {{"kernel_shape", Ints{3, 2}},
                            {"strides", Ints{2, 1}},
                            {"pads", Ints{1, 0, 1, 1}},
                            {"dilations", Ints{1, 2}}};
  expect_gradient("MaxPool", {x}, attrs, {0});
  expect_gradient("AveragePool", {x}, attrs, {0});
  expect_gradient("GlobalAveragePool", {x}, {}, {0});
  expect_gradient("GlobalMaxPool", {x}, {}, {0});
  expect_gradient("AveragePoolGradient", {x, result_of("AveragePool", {x}, attrs)}, attrs, {1});
}

TEST(Pooling, ReportsWhatDoesNotFit) {
  EXPECT_THAT(error_of("MaxPool", {line({1, 2})}, {{"kernel_shape", Ints{3}}}),
              HasSubstr("the kernel spans 3 elements along spatial dimension 0, the padded input has 2"));
  EXPECT_THAT(error_of("MaxPool", {line({1, 2})}), HasSubstr("attribute 'kernel_shape' is required"));
  EXPECT_THAT(error_of("MaxPool", {line({1, 2})}, {{"kernel_shape", Ints{1, 1}}}),
              HasSubstr("must have rank 4"));
  EXPECT_THAT(error_of("MaxPool", {line({1, 2})}, {{"kernel_shape", Ints{}}}),
              HasSubstr("at least one spatial dimension"));
  EXPECT_THAT(error_of("AveragePool", {line({1, 2})}, {{"kernel_shape", Ints{-1}}}),
              HasSubstr("kernel extent -1"));
  EXPECT_THAT(error_of("AveragePool", {line({1, 2})}, {{"kernel_shape", Ints{1}}, {"pads", Ints{0, -1}}}),
              HasSubstr("pads holds -1"));
  EXPECT_THAT(error_of("LpPool", {line({1, 2})}, {{"kernel_shape", Ints{1}}, {"p", int64_t{0}}}),
              HasSubstr("p 0 is less than 1"));
  EXPECT_EQ(result_of("MaxPool", {Tensor::zeros(DType::kF32, {0, 3, 4, 4})}, {{"kernel_shape", Ints{2, 2}}})
                .extents(),
            (Ints{0, 3, 3, 3}));
}

TEST(LpPool, IsANorm) {
  EXPECT_THAT(numbers_of(result_of("LpPool", {line({3, -4, 0})}, {{"kernel_shape", Ints{2}}})),
              ElementsAre(5, 4));
  EXPECT_THAT(
      numbers_of(result_of("LpPool", {line({3, -4, 0})}, {{"kernel_shape", Ints{3}}, {"p", int64_t{1}}})),
      ElementsAre(7));
  EXPECT_THAT(numbers_of(result_of("GlobalLpPool", {line({3, -4, 0})})), ElementsAre(5));
}

TEST(MaxUnpool, ChecksItsIndices) {
  const Attributes attrs = {{"kernel_shape", Ints{2}}, {"strides", Ints{2}}};
  const Tensor x = Tensor::from<float>({1, 1, 2}, {7, 8});
  EXPECT_THAT(numbers_of(result_of("MaxUnpool", {x, Tensor::from<int64_t>({1, 1, 2}, {1, 2})}, attrs)),
              ElementsAre(0, 7, 8, 0));
  EXPECT_THAT(error_of("MaxUnpool", {x, Tensor::from<int64_t>({1, 1, 2}, {1, 4})}, attrs),
              HasSubstr("index 4 is outside of 4 elements"));
  EXPECT_THAT(error_of("MaxUnpool", {x, Tensor::from<int64_t>({1, 1, 2}, {-1, 0})}, attrs),
              HasSubstr("index -1"));
}

TEST(RegionPooling, ChecksItsRegions) {
  const Tensor x = Tensor::from<float>({1, 1, 2, 2}, {1, 2, 3, 4});
  const Attributes attrs = {{"pooled_shape", Ints{1, 1}}};
  EXPECT_THAT(numbers_of(result_of("MaxRoiPool", {x, Tensor::from<float>({1, 5}, {0, 0, 0, 1, 0})}, attrs)),
              ElementsAre(2));
  EXPECT_THAT(error_of("MaxRoiPool", {x, Tensor::from<float>({1, 5}, {1, 0, 0, 1, 0})}, attrs),
              HasSubstr("region 0 is in picture 1 of 1"));
  const float huge = 1e30f;
  EXPECT_THAT(numbers_of(result_of("MaxRoiPool",
                                   {x, Tensor::from<float>({1, 5}, {0, -huge, -huge, huge, huge})}, attrs)),
              ElementsAre(4));
  const Tensor first = Tensor::of_ints(Ints{0});
  EXPECT_THAT(numbers_of(result_of("RoiAlign", {x, Tensor::from<float>({1, 4}, {0, 0, 2, 2}), first},
                                   {{"sampling_ratio", int64_t{1}}})),
              ElementsAre(2.5));
  EXPECT_THAT(error_of("RoiAlign", {x, Tensor::from<float>({1, 4}, {0, 0, huge, huge}), first}),
              HasSubstr("samples in each bin"));
  EXPECT_THAT(error_of("RoiAlign", {x, Tensor::from<float>({1, 4}, {0, 0, 1, 1}), Tensor::of_ints(Ints{-1})}),
              HasSubstr("picture -1 of 1"));
}

}  // namespace
}  // namespace gannet::test
