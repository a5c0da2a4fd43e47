// Statistics of a batch as the pipelines compute them, against the definition of BatchNormalization.
#include <gtest/gtest.h>

#include <cmath>

#include "ir/evaluate.h"
#include "ir/parse.h"
#include "passes/pass.h"

namespace gannet {
namespace {

constexpr std::string_view kModel = R"(graph "g"(%x: f32[n, 2, 16], %s: f32[2], %b: f32[2], %m: f32[2], %v: f32[2]) {
  %y, %mean, %variance = BatchNormalization(%x, %s, %b, %m, %v) {training_mode = 1, epsilon = 1e-12, momentum = 0.0}
  return %y as "y", %mean as "mean", %variance as "variance"
})";

// One channel hardly differs from a large number, the other is constant.
Tensor nearly_constant() {
  Tensor x = Tensor::zeros(DType::kF32, {4, 2, 16});
  auto values = x.mutable_data<float>();
  for (size_t i = 0; i < values.size(); ++i) {
    const bool first = i / 16 % 2 == 0;
    values[i] = first ? 4096.0f + static_cast<float>(i * 37 % 32) / 2048 : -7.1f;
  }
  return x;
}

TEST(BatchStatistics, OfChannelsThatAreNearlyConstant) {
  auto graph = parse_graph(kModel);
  ASSERT_TRUE(graph.ok()) << graph.error().message;
  const std::unique_ptr<Graph> parts = (*graph)->clone();
  PassContext context;
  ASSERT_TRUE(run_passes(*parts, "decompose", context).ok());
  Tensor ones = Tensor::zeros(DType::kF32, {2});
  for (float& one : ones.mutable_data<float>()) one = 1;
  const std::vector<Datum> inputs = {nearly_constant(), ones, Tensor::zeros(DType::kF32, {2}), ones, ones};
  const auto expected = evaluate(**graph, inputs), given = evaluate(*parts, inputs);
  ASSERT_TRUE(expected.ok() && given.ok());
  const Tensor &variance = given->outputs[2].tensor(), &wanted = expected->outputs[2].tensor();
  EXPECT_GT(wanted.double_at(0), 1e-5);
  EXPECT_NEAR(variance.double_at(0), wanted.double_at(0), 1e-5 * wanted.double_at(0));
  EXPECT_GE(variance.double_at(1), 0);
  EXPECT_NEAR(variance.double_at(1), wanted.double_at(1), 1e-12);
  for (int64_t i = 0; i < 2; ++i) {
    EXPECT_NEAR(given->outputs[1].tensor().double_at(i), expected->outputs[1].tensor().double_at(i), 1e-3);
  }
}

}  // namespace
}  // namespace gannet
