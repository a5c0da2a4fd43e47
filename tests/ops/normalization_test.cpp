#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/run_op.h"

namespace gannet::test {
namespace {

using testing::DoubleNear;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pointwise;

TEST(Softmax, IsStableAndTakesAnyAxis) {
  Tensor x = Tensor::from<float>({2, 2}, {1000, 1000, 0, 1000});
  EXPECT_THAT(numbers_of(result_of("Softmax", {x})), ElementsAre(0.5, 0.5, 0, 1));
  EXPECT_THAT(numbers_of(result_of("Softmax", {x}, {{"axis", int64_t{0}}})), ElementsAre(1, 0.5, 0, 0.5));
  EXPECT_THAT(numbers_of(result_of("LogSoftmax", {x})),
              Pointwise(DoubleNear(1e-6), {-std::log(2), -std::log(2), -1000.0, 0.0}));
  EXPECT_THAT(numbers_of(result_of("Hardmax", {x})), ElementsAre(1, 0, 0, 1));
  EXPECT_THAT(error_of("Softmax", {x}, {{"axis", int64_t{2}}}), HasSubstr("axis 2"));
  EXPECT_THAT(error_of("Softmax", {Tensor::from<int32_t>({1}, {1})}), HasSubstr("i32"));
  EXPECT_EQ(result_of("Softmax", {Tensor::zeros(DType::kF32, {3, 0})}).elements(), 0);
}

TEST(Softmax, Gradients) {
  Tensor x = random_tensor({2, 3, 2}, 3);
  for (int64_t axis : {-1, 1}) {
    expect_gradient("Softmax", {x}, {{"axis", axis}}, {0});
    expect_gradient("LogSoftmax", {x}, {{"axis", axis}}, {0});
    for (int64_t p : {1, 2}) expect_gradient("LpNormalization", {x}, {{"axis", axis}, {"p", p}}, {0});
  }
}

TEST(LpNormalization, ZerosStay) {
  Tensor x = Tensor::from<float>({2, 2}, {3, 4, 0, 0});
  EXPECT_THAT(numbers_of(result_of("LpNormalization", {x})),
              Pointwise(DoubleNear(1e-6), {0.6, 0.8, 0.0, 0.0}));
  EXPECT_THAT(error_of("LpNormalization", {x}, {{"p", int64_t{3}}}), HasSubstr("p must be 1 or 2, got 3"));
}

std::vector<Tensor> batch_operands() {
  return {random_tensor({2, 3, 2}, 4), random_tensor({3}, 5), random_tensor({3}, 6), random_tensor({3}, 7),
          Tensor::from<double>({3}, {0.5, 1, 2})};
}

TEST(BatchNormalization, Infers) {
  EXPECT_THAT(inferred("BatchNormalization", {"f16[n, 3, h, w]", "f32[3]", "f32[3]", "f32[3]", "f32[3]"},
                       {{"training_mode", int64_t{1}}}, 3),
              ElementsAre("f16[n, 3, h, w]", "f32[3]", "f32[3]"));
  EXPECT_THAT(inferred("BatchNormalization", {"f32[n, 3]", "f32[4]", "f32[3]", "f32[3]", "f32[3]"})[0],
              HasSubstr("input 1 (scale) has 4 elements for 3 channels"));
}

TEST(BatchNormalization, TrainingUsesAndUpdatesStatistics) {
  Tensor x = Tensor::from<float>({2, 1, 2}, {1, 3, 5, 7}), one = Tensor::from<float>({1}, {1}),
         zero = Tensor::from<float>({1}, {0});
  auto results = numbers_of("BatchNormalization", {x, one, zero, zero, one},
                            {{"training_mode", int64_t{1}}, {"momentum", 0.5f}, {"epsilon", 0.0f}}, 3);
  double deviation = std::sqrt(5.0);
  EXPECT_THAT(results[0],
              Pointwise(DoubleNear(1e-6), {-3 / deviation, -1 / deviation, 1 / deviation, 3 / deviation}));
  EXPECT_THAT(results[1], ElementsAre(2));
  EXPECT_THAT(results[2], ElementsAre(3));
}

TEST(BatchNormalization, AVectorHasOneChannel) {
  Tensor x = Tensor::from<float>({3}, {1, 2, 3}), one = Tensor::from<float>({1}, {1}),
         zero = Tensor::from<float>({1}, {0});
  EXPECT_THAT(numbers_of(result_of("BatchNormalization", {x, one, zero, one, one}, {{"epsilon", 0.0f}})),
              ElementsAre(0, 1, 2));
}

TEST(BatchNormalization, Gradients) {
  expect_gradient("BatchNormalization", batch_operands(), {}, {0, 1, 2});
  expect_gradient("BatchNormalization", batch_operands(), {{"training_mode", int64_t{1}}}, {0, 1, 2}, 3);
}

TEST(LayerNormalization, GivesStatistics) {
  Tensor x = Tensor::from<float>({2, 2}, {1, 3, 2, 2}), scale = Tensor::from<float>({2}, {2, 2}),
         bias = Tensor::from<float>({1}, {1});
  auto results = numbers_of("LayerNormalization", {x, scale, bias}, {{"epsilon", 1.0f}}, 3);
  double inverse = 1 / std::sqrt(2.0);
  EXPECT_THAT(results[0], Pointwise(DoubleNear(1e-6), {1 - 2 * inverse, 1 + 2 * inverse, 1.0, 1.0}));
  EXPECT_THAT(results[1], ElementsAre(2, 2));
  EXPECT_THAT(results[2], Pointwise(DoubleNear(1e-6), {inverse, 1.0}));
}

TEST(LayerNormalization, ParametersMayVaryBeforeTheAxis) {
  Tensor x = Tensor::from<float>({2, 2}, {1, 3, 5, 9}), scale = Tensor::from<float>({2, 1}, {1, 10});
  EXPECT_THAT(numbers_of(result_of("LayerNormalization", {x, scale}, {{"epsilon", 0.0f}})),
              ElementsAre(-1, 1, -10, 10));
  EXPECT_THAT(error_of("LayerNormalization", {x, Tensor::from<float>({3}, {1, 1, 1})}),
              HasSubstr("[3] does not broadcast to [2, 2]"));
  EXPECT_THAT(error_of("LayerNormalization", {x, scale}, {{"stash_type", int64_t{7}}}),
              HasSubstr("stash_type"));
}

TEST(LayerNormalization, InfersStatistics) {
  EXPECT_THAT(inferred("LayerNormalization", {"f16[n, s, 8]", "f16[8]", "f16[8]"}, {{"axis", int64_t{1}}}, 3),
              ElementsAre("f16[n, s, 8]", "f32[n, 1, 1]", "f32[n, 1, 1]"));
}

TEST(LayerNormalization, Gradients) {
  Tensor x = random_tensor({2, 3, 2}, 8);
  expect_gradient("LayerNormalization", {x, random_tensor({2}, 9), random_tensor({2}, 10)}, {}, {0, 1, 2});
  expect_gradient("LayerNormalization", {x, random_tensor({3, 2}, 9)}, {{"axis", int64_t{1}}}, {0, 1});
  expect_gradient("RMSNormalization", {x, random_tensor({3, 1}, 9)}, {{"axis", int64_t{-2}}}, {0, 1});
}

TEST(GroupNormalization, ScalesByChannel) {
  Tensor x = Tensor::from<float>({1, 4, 1}, {1, 3, 2, 6}), scale = Tensor::from<float>({4}, {1, 2, 3, 4});
  Tensor bias = Tensor::zeros(DType::kF32, {4});
  EXPECT_THAT(numbers_of(result_of("GroupNormalization", {x, scale, bias},
                                   {{"num_groups", int64_t{2}}, {"epsilon", 0.0f}})),
              ElementsAre(-1, 2, -3, 4));
  EXPECT_THAT(error_of("GroupNormalization", {x, scale, bias}, {{"num_groups", int64_t{3}}}),
              HasSubstr("3 does not divide 4"));
  EXPECT_THAT(error_of("InstanceNormalization", {Tensor::zeros(DType::kF32, {2}), scale, bias}),
              HasSubstr("rank of 2 or more"));
}

TEST(GroupNormalization, Gradients) {
  std::vector<Tensor> operands = {random_tensor({2, 4, 3}, 11), random_tensor({4}, 12),
                                  random_tensor({4}, 13)};
  expect_gradient("GroupNormalization", operands, {{"num_groups", int64_t{2}}}, {0, 1, 2});
  expect_gradient("InstanceNormalization", operands, {}, {0, 1, 2});
}

TEST(MeanVarianceNormalization, HasZeroMeanAndUnitDeviation) {
  Tensor x = Tensor::from<float>({1, 2, 1, 2}, {1, 3, 10, 30});
  EXPECT_THAT(numbers_of(result_of("MeanVarianceNormalization", {x})),
              Pointwise(DoubleNear(1e-6), {-1.0, 1.0, -1.0, 1.0}));
}

TEST(Dropout, IsTheIdentityOutsideOfTraining) {
  Tensor x = Tensor::from<float>({2}, {1, 2});
  auto results = numbers_of("Dropout", {x, Tensor::scalar(0.9f)}, {}, 2);
  EXPECT_THAT(results[0], ElementsAre(1, 2));
  EXPECT_THAT(results[1], ElementsAre(1, 1));
}

TEST(Dropout, KeepsTheExpectation) {
  Tensor x = Tensor::from<float>({1000}, std::vector<float>(1000, 1)), ratio = Tensor::scalar(0.75f),
         on = Tensor::scalar(true);
  auto results = numbers_of("Dropout", {x, ratio, on}, {{"seed", int64_t{7}}}, 2);
  int kept = 0;
  for (size_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(results[0][i], results[1][i] != 0 ? 4 : 0);
    kept += results[1][i] != 0;
  }
  EXPECT_NEAR(kept, 250, 60);
  EXPECT_EQ(numbers_of("Dropout", {x, ratio, on}, {{"seed", int64_t{7}}}, 2), results);
  EXPECT_NE(run_op("Dropout", {x, ratio, on}, {}, 2, 1)->at(1).tensor().ints(),
            run_op("Dropout", {x, ratio, on}, {}, 2, 2)->at(1).tensor().ints());
  EXPECT_THAT(error_of("Dropout", {x, Tensor::scalar(1.5f), on}), HasSubstr("1.5"));
}

TEST(Dropout, Gradients) {
  Tensor x = random_tensor({10}, 14), ratio = Tensor::scalar(0.5);
  expect_gradient("Dropout", {x}, {}, {0});
  expect_gradient("Dropout", {x, ratio, Tensor::scalar(true)}, {{"seed", int64_t{3}}}, {0}, 2);
}

TEST(Loss, WeightsAndIgnoredTargets) {
  Tensor scores = Tensor::from<float>({3, 2}, {-1, -2, -3, -4, -5, -6}),
         targets = Tensor::from<int64_t>({3}, {0, 1, -1});
  Tensor weights = Tensor::from<float>({2}, {1, 3});
  Attributes ignore = {{"ignore_index", int64_t{-1}}};
  EXPECT_THAT(numbers_of(result_of("NegativeLogLikelihoodLoss", {scores, targets, weights}, ignore)),
              ElementsAre(13.0f / 4));
  Attributes each = {{"ignore_index", int64_t{-1}}, {"reduction", std::string("none")}};
  EXPECT_THAT(numbers_of(result_of("NegativeLogLikelihoodLoss", {scores, targets, weights}, each)),
              ElementsAre(1, 12, 0));
  EXPECT_THAT(error_of("NegativeLogLikelihoodLoss", {scores, targets}),
              HasSubstr("target -1 at element 2 is not one of 2 classes"));
  EXPECT_THAT(error_of("NegativeLogLikelihoodLoss", {scores, Tensor::from<int64_t>({2}, {0, 0})}),
              HasSubstr("2 against 3"));
}

TEST(Loss, Infers) {
  EXPECT_THAT(inferred("SoftmaxCrossEntropyLoss", {"f32[n, 10, h]", "i64[n, h]"},
                       {{"reduction", std::string("none")}}, 2),
              ElementsAre("f32[n, h]", "f32[n, 10, h]"));
  EXPECT_THAT(inferred("SoftmaxCrossEntropyLoss", {"f32[n, 10]", "i64[n]"}), ElementsAre("f32[]"));
}

TEST(Loss, Gradients) {
  Tensor scores = random_tensor({2, 3, 2}, 15), targets = Tensor::from<int64_t>({2, 2}, {0, 2, 1, 2});
  Tensor weights = Tensor::from<double>({3}, {1, 2, 3});
  for (const char* reduction : {"none", "sum", "mean"}) {
    Attributes attrs = {{"reduction", std::string(reduction)}, {"ignore_index", int64_t{1}}};
    expect_gradient("NegativeLogLikelihoodLoss", {scores, targets, weights}, attrs, {0});
    expect_gradient("NegativeLogLikelihoodLoss", {scores, targets}, attrs, {0});
  }
}

TEST(Loss, CrossEntropyIsTheLossOfLogSoftmax) {
  Tensor scores = random_tensor({2, 3}, 16), targets = Tensor::from<int32_t>({2}, {0, 2});
  auto results = numbers_of("SoftmaxCrossEntropyLoss", {scores, targets}, {}, 2);
  EXPECT_THAT(results[1], Pointwise(DoubleNear(1e-12), numbers_of(result_of("LogSoftmax", {scores}))));
  EXPECT_NEAR(results[0][0], -(results[1][0] + results[1][5]) / 2, 1e-12);
}

}  // namespace
}  // namespace gannet::test
