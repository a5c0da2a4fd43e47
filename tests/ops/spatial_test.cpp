#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/support/run_op.h"

namespace gannet::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pointwise;
using Ints = std::vector<int64_t>;

const Tensor kAbsent;

Tensor floats(std::initializer_list<float> values) {
  return Tensor::from<float>({static_cast<int64_t>(values.size())}, values);
}
Attributes mode(const std::string& text, const std::string& coordinates = "half_pixel") {
  return {{"mode", text}, {"coordinate_transformation_mode", coordinates}};
}

TEST(Resize, NearestMovesAnything) {
  const Tensor texts = Tensor::from<std::string>({2}, {"a", "b"});
  const Tensor twice = result_of("Resize", {texts, kAbsent, floats({2})}, mode("nearest", "asymmetric"));
  EXPECT_THAT(twice.data<std::string>(), ElementsAre("a", "a", "b", "b"));
  const Tensor x = Tensor::from<int64_t>({4}, {10, 11, 12, 13});
  auto rounded = [&](const std::string& how) {
    Attributes attrs = mode("nearest", "asymmetric");
    attrs.set("nearest_mode", how);
    return result_of("Resize", {x, kAbsent, floats({2})}, attrs).ints();
  };
  EXPECT_THAT(result_of("Resize", {Tensor::from<int64_t>({2, 2}, {1, 2, 3, 4}), kAbsent, floats({1, 2})},
                        {{"coordinate_transformation_mode", std::string("tf_half_pixel_for_nn")},
                         {"nearest_mode", std::string("ceil")}})
                  .ints(),
              ElementsAre(2, 2, 2, 2, 4, 4, 4, 4));
  EXPECT_THAT(rounded("floor"), ElementsAre(10, 10, 11, 11, 12, 12, 13, 13));
  EXPECT_THAT(rounded("ceil"), ElementsAre(10, 11, 11, 12, 12, 13, 13, 13));
  EXPECT_THAT(rounded("round_prefer_floor"), ElementsAre(10, 10, 11, 11, 12, 12, 13, 13));
  EXPECT_THAT(rounded("round_prefer_ceil"), ElementsAre(10, 11, 11, 12, 12, 13, 13, 13));
}

TEST(Resize, InterpolatesAnAxis) {
  const Tensor x = Tensor::from<double>({1, 2}, {0, 4});
  const Tensor sizes = Tensor::of_ints(Ints{4});
  Attributes attrs = mode("linear");
  attrs.set("axes", Ints{-1});
  EXPECT_THAT(numbers_of(result_of("Resize", {x, kAbsent, kAbsent, sizes}, attrs)), ElementsAre(0, 1, 3, 4));
  attrs.set("coordinate_transformation_mode", std::string("align_corners"));
  EXPECT_THAT(numbers_of(result_of("Resize", {x, kAbsent, kAbsent, Tensor::of_ints(Ints{5})}, attrs)),
              ElementsAre(0, 1, 2, 3, 4));
  attrs.set("coordinate_transformation_mode", std::string("tf_half_pixel_for_nn"));
  EXPECT_THAT(numbers_of(result_of("Resize", {x, kAbsent, kAbsent, sizes}, attrs)), ElementsAre(1, 3, 4, 4));
  attrs.set("coordinate_transformation_mode", std::string("half_pixel"));
  EXPECT_THAT(
      result_of("Resize", {Tensor::from<uint8_t>({1, 2}, {0, 255}), kAbsent, kAbsent, sizes}, attrs).ints(),
      ElementsAre(0, 64, 191, 255));
}

TEST(Resize, OneElementOfPyTorchIsTheFirst) {
  Attributes attrs = mode("cubic", "pytorch_half_pixel");
  const Tensor x = floats({3, 4, 9, 2}), one = Tensor::of_ints(Ints{1});
  EXPECT_THAT(numbers_of(result_of("Resize", {x, kAbsent, kAbsent, one}, attrs)), ElementsAre(3));
  EXPECT_THAT(numbers_of(result_of("Resize", {x, kAbsent, floats({0.4f})}, attrs)), ElementsAre(3));
}

TEST(Resize, CropsAndExtrapolates) {
  Attributes attrs = mode("linear", "tf_crop_and_resize");
  attrs.set("extrapolation_value", -1.0f);
  const Tensor x = floats({0, 1, 2, 3});
  EXPECT_THAT(
      numbers_of(result_of("Resize", {x, floats({0.5f, 1.5f}), kAbsent, Tensor::of_ints(Ints{3})}, attrs)),
      ElementsAre(1.5, 3, -1));
  EXPECT_THAT(error_of("Resize", {x, kAbsent, floats({2})}, attrs), HasSubstr("needs a roi"));
  EXPECT_THAT(error_of("Resize", {x, floats({0}), floats({2})}, attrs),
              HasSubstr("input 1 (roi) has 1 elements where 2 are expected"));
}

TEST(Resize, KeepsTheAspectRatio) {
  const Tensor x = Tensor::zeros(DType::kF32, {2, 4}), sizes = Tensor::of_ints(Ints{7, 8});
  EXPECT_EQ(result_of("Resize", {x, kAbsent, kAbsent, sizes},
                      {{"keep_aspect_ratio_policy", std::string("not_larger")}})
                .extents(),
            (Ints{4, 8}));
  EXPECT_EQ(result_of("Resize", {x, kAbsent, kAbsent, sizes},
                      {{"keep_aspect_ratio_policy", std::string("not_smaller")}})
                .extents(),
            (Ints{7, 14}));
}

TEST(Resize, ScalesAreRatios) {
  const Tensor x = Tensor::zeros(DType::kF32, {30});
  EXPECT_EQ(result_of("Resize", {x, kAbsent, floats({0.7f})}).extents(), (Ints{21}));
  EXPECT_EQ(result_of("Resize", {x, kAbsent, floats({1.0f / 3})}).extents(), (Ints{10}));
}

TEST(Resize, ReportsWhatDoesNotFit) {
  const Tensor x = floats({1, 2});
  EXPECT_THAT(error_of("Resize", {x}), HasSubstr("needs scales or sizes"));
  EXPECT_THAT(error_of("Resize", {x, kAbsent, floats({0})}), HasSubstr("scale 0 of axis 0 is not positive"));
  EXPECT_THAT(error_of("Resize", {x, kAbsent, floats({std::numeric_limits<float>::quiet_NaN()})}),
              HasSubstr("is not positive"));
  EXPECT_THAT(error_of("Resize", {x, kAbsent, floats({1, 1})}),
              HasSubstr("input 2 (scales) has 2 elements where 1 are expected"));
  EXPECT_THAT(error_of("Resize", {x, kAbsent, kAbsent, Tensor::of_ints(Ints{-1})}),
              HasSubstr("size -1 of axis 0 is negative"));
  EXPECT_THAT(
      error_of("Resize", {Tensor::zeros(DType::kF32, {0}), kAbsent, kAbsent, Tensor::of_ints(Ints{3})}),
      HasSubstr("axis 0 is empty and cannot be resized to 3"));
  EXPECT_THAT(error_of("Resize", {Tensor::zeros(DType::kBool, {2}), kAbsent, floats({2})}, mode("linear")),
              HasSubstr("mode linear does not apply to bool"));
  EXPECT_THAT(error_of("Resize", {x, kAbsent, floats({1e30f})}), testing::Not(testing::IsEmpty()));
}

TEST(GridSample, IdentityGridGivesTheInput) {
  const Tensor x = random_tensor({2, 3, 4, 5}, 1);
  const Tensor theta = Tensor::from<double>({2, 2, 3}, {1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0});
  for (int64_t align : {0, 1}) {
    const Tensor grid =
        result_of("AffineGrid", {theta, Tensor::of_ints(Ints{2, 3, 4, 5})}, {{"align_corners", align}});
    for (const char* kind : {"nearest", "linear", "cubic"}) {
      for (const char* padding : {"zeros", "border", "reflection"}) {
        const Tensor y = result_of(
            "GridSample", {x, grid},
            {{"mode", std::string(kind)}, {"padding_mode", std::string(padding)}, {"align_corners", align}});
        EXPECT_THAT(numbers_of(y), Pointwise(testing::DoubleNear(1e-9), numbers_of(x)))
            << kind << " " << padding;
      }
    }
  }
}

TEST(GridSample, OutsideIsPadding) {
  const Tensor x = Tensor::from<float>({1, 1, 3}, {1, 2, 3});
  const Tensor grid = Tensor::from<float>(
      {1, 4, 1}, {-2, 2, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()});
  auto sampled = [&](const std::string& padding) {
    return numbers_of(result_of(
        "GridSample", {x, grid},
        {{"mode", std::string("nearest")}, {"padding_mode", padding}, {"align_corners", int64_t{1}}}));
  };
  EXPECT_THAT(sampled("zeros"), ElementsAre(0, 0, 0, 0));
  EXPECT_THAT(sampled("border"), ElementsAre(1, 3, 1, 3));
  EXPECT_THAT(sampled("reflection"), ElementsAre(2, 2, 2, 1));
  const Tensor squares = Tensor::from<float>({1, 1, 4}, {0, 1, 4, 9});
  EXPECT_THAT(numbers_of(result_of("GridSample", {squares, Tensor::from<float>({1, 1, 1}, {1.125f})},
                                   {{"mode", std::string("cubic")}, {"padding_mode", std::string("border")}})),
              ElementsAre(9.17578125));
  EXPECT_THAT(error_of("GridSample", {x, Tensor::zeros(DType::kF32, {1, 4, 2})}),
              HasSubstr("2 coordinates a point for 1 spatial dimensions"));
  EXPECT_THAT(error_of("GridSample", {Tensor::zeros(DType::kF32, {1, 1, 0}), grid}),
              HasSubstr("spatial dimension 0 of the input is empty"));
}

TEST(AffineGrid, ReportsWhatDoesNotFit) {
  const Tensor theta = Tensor::zeros(DType::kF32, {1, 2, 3});
  EXPECT_THAT(error_of("AffineGrid", {theta, Tensor::of_ints(Ints{1, 1, 2, 2, 2})}),
              HasSubstr("a size of 5 elements does not fit matrices of 2 rows"));
  EXPECT_THAT(error_of("AffineGrid", {theta, Tensor::of_ints(Ints{1, 1, -2, 2})}),
              HasSubstr("the size holds -2"));
  EXPECT_THAT(
      error_of("AffineGrid", {Tensor::zeros(DType::kF32, {1, 2, 4}), Tensor::of_ints(Ints{1, 1, 2, 2})}),
      HasSubstr("2 by 4"));
}

TEST(NonMaxSuppression, KeepsTheBestOfOverlappingBoxes) {
  const Tensor boxes = Tensor::from<float>({1, 3, 4}, {0, 0, 2, 2, 0, 0, 2, 1.9f, 5, 5, 4, 4});
  const Tensor scores = Tensor::from<float>({1, 1, 3}, {0.5f, 0.9f, 0.9f});
  const Tensor many = Tensor::scalar<int64_t>(9), half = Tensor::scalar<float>(0.5f);
  EXPECT_THAT(result_of("NonMaxSuppression", {boxes, scores, many, half}).ints(),
              ElementsAre(0, 0, 1, 0, 0, 2));
  EXPECT_THAT(
      result_of("NonMaxSuppression", {boxes, scores, many, half, Tensor::scalar<float>(0.9f)}).elements(), 0);
  EXPECT_THAT(result_of("NonMaxSuppression", {boxes, scores}).extents(), ElementsAre(0, 3));
  EXPECT_THAT(error_of("NonMaxSuppression", {boxes, Tensor::zeros(DType::kF32, {1, 1, 4})}),
              HasSubstr("the boxes have 3 boxes, the scores 4"));
}

TEST(LRN, LooksAtNeighbouringChannels) {
  const Tensor x = Tensor::from<double>({1, 3, 1}, {1, 2, 3});
  const Attributes attrs = {{"size", int64_t{3}}, {"alpha", 3.0f}, {"beta", 1.0f}};
  EXPECT_THAT(numbers_of(result_of("LRN", {x}, attrs)),
              Pointwise(testing::DoubleNear(1e-12), {1.0 / 6, 2.0 / 15, 3.0 / 14}));
  EXPECT_THAT(error_of("LRN", {x}, {{"size", int64_t{0}}}), HasSubstr("size 0 is less than 1"));
}

}  // namespace
}  // namespace gannet::test
