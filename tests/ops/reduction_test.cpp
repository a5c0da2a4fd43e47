#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "ir/builder.h"
#include "tests/support/run_op.h"

namespace gannet::test {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pointwise;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Tensor iota(std::vector<int64_t> extents) {
  Tensor tensor = Tensor::zeros(DType::kF32, std::move(extents));
  float next = 0;
  for (float& value : tensor.mutable_data<float>()) value = next++;
  return tensor;
}

Tensor axes(std::initializer_list<int64_t> values) { return Tensor::of_ints(std::vector<int64_t>(values)); }

TEST(Reduction, SumsOverAnyAxes) {
  Tensor x = iota({2, 3, 2});
  EXPECT_THAT(numbers_of(result_of("ReduceSum", {x, axes({-1})}, {{"keepdims", int64_t{0}}})),
              ElementsAre(1, 5, 9, 13, 17, 21));
  EXPECT_THAT(numbers_of(result_of("ReduceSum", {x, axes({0, 2})})), ElementsAre(14, 22, 30));
  EXPECT_THAT(numbers_of(result_of("ReduceSum", {x, axes({1})})), ElementsAre(6, 9, 24, 27));
  EXPECT_THAT(numbers_of(result_of("ReduceSum", {x})), ElementsAre(66));
  EXPECT_EQ(result_of("ReduceSum", {x}).extents(), (std::vector<int64_t>{1, 1, 1}));
  EXPECT_EQ(result_of("ReduceSum", {x}, {{"keepdims", int64_t{0}}}).rank(), 0);
}

TEST(Reduction, EmptyAxesReduceNothingWhereTheNodeSaysSo) {
  Tensor x = Tensor::from<float>({2}, {-2, 3});
  Attributes noop = {{"noop_with_empty_axes", int64_t{1}}};
  EXPECT_THAT(numbers_of(result_of("ReduceSum", {x, axes({})}, noop)), ElementsAre(-2, 3));
  EXPECT_THAT(numbers_of(result_of("ReduceSumSquare", {x}, noop)), ElementsAre(4, 9));
  EXPECT_THAT(numbers_of(result_of("ReduceL1", {x}, noop)), ElementsAre(2, 3));
  EXPECT_THAT(numbers_of(result_of("ReduceSum", {x, axes({})})), ElementsAre(1));
}

TEST(Reduction, NothingReducesToTheIdentity) {
  Tensor x = Tensor::zeros(DType::kF32, {0, 2}), ints = Tensor::zeros(DType::kI32, {0, 1});
  EXPECT_THAT(numbers_of(result_of("ReduceSum", {x, axes({0})})), ElementsAre(0, 0));
  EXPECT_THAT(numbers_of(result_of("ReduceProd", {x, axes({0})})), ElementsAre(1, 1));
  EXPECT_THAT(numbers_of(result_of("ReduceMax", {x, axes({0})})), ElementsAre(-kInfinity, -kInfinity));
  EXPECT_THAT(numbers_of(result_of("ReduceMin", {x, axes({0})})), ElementsAre(kInfinity, kInfinity));
  EXPECT_THAT(numbers_of(result_of("ReduceLogSum", {x, axes({0})})), ElementsAre(-kInfinity, -kInfinity));
  EXPECT_THAT(numbers_of(result_of("ReduceLogSumExp", {x, axes({0})})), ElementsAre(-kInfinity, -kInfinity));
  EXPECT_EQ(result_of("ReduceMax", {ints, axes({0})}).int_at(0), std::numeric_limits<int32_t>::min());
  EXPECT_EQ(result_of("ReduceMean", {ints, axes({0})}).int_at(0), 0);
  EXPECT_EQ(result_of("ReduceSum", {x, axes({1})}).elements(), 0);
}

TEST(Reduction, IntegersAreExact) {
  Tensor x = Tensor::from<int64_t>({2}, {(int64_t{1} << 53) + 1, 2});
  EXPECT_EQ(result_of("ReduceSum", {x}).int_at(0), (int64_t{1} << 53) + 3);
  EXPECT_EQ(result_of("ReduceMax", {x}).int_at(0), (int64_t{1} << 53) + 1);
  Tensor negative = Tensor::from<int32_t>({3}, {-4, -3, -1});
  EXPECT_EQ(result_of("ReduceMean", {negative}).int_at(0), -2);
  EXPECT_EQ(result_of("ReduceL1", {negative}).int_at(0), 8);
  EXPECT_EQ(result_of("ReduceL2", {negative}).int_at(0), 5);
  Tensor least = Tensor::from<int64_t>({1}, {std::numeric_limits<int64_t>::min()});
  EXPECT_EQ(result_of("ReduceL1", {least}).int_at(0), std::numeric_limits<int64_t>::min());
}

TEST(Reduction, BooleansAndNarrowIntegersHaveExtrema) {
  Tensor x = Tensor::from<bool>({2, 2}, {false, true, false, false});
  EXPECT_THAT(result_of("ReduceMax", {x, axes({1})}).ints(), ElementsAre(1, 0));
  EXPECT_THAT(result_of("ReduceMin", {x, axes({0})}).ints(), ElementsAre(0, 0));
  EXPECT_THAT(error_of("ReduceSum", {x}), HasSubstr("bool"));
  EXPECT_EQ(result_of("ReduceMin", {Tensor::from<int8_t>({2}, {-3, 100})}).int_at(0), -3);
}

TEST(Reduction, LogSumExpNeitherOverflowsNorLosesInfinity) {
  EXPECT_THAT(numbers_of(result_of("ReduceLogSumExp", {Tensor::from<double>({2}, {1000, 1000})})),
              Pointwise(DoubleNear(1e-9), {1000 + std::log(2)}));
  EXPECT_EQ(
      numbers_of(result_of("ReduceLogSumExp", {Tensor::from<double>({2}, {-kInfinity, -kInfinity})}))[0],
      -kInfinity);
  EXPECT_EQ(numbers_of(result_of("ReduceLogSumExp", {Tensor::from<double>({2}, {kInfinity, 0})}))[0],
            kInfinity);
}

TEST(Reduction, NaNWinsInExtrema) {
  Tensor x = Tensor::from<float>({3}, {1, std::nanf(""), 2});
  EXPECT_TRUE(std::isnan(numbers_of(result_of("ReduceMax", {x}))[0]));
  EXPECT_TRUE(std::isnan(numbers_of(result_of("ReduceMin", {x}))[0]));
}

TEST(Reduction, HalfPrecisionIsSummedInFull) {
  std::vector<Half> values(4096, Half(1.0f));
  EXPECT_EQ(numbers_of(result_of("ReduceSum", {Tensor::from<Half>({4096}, values)}))[0], 4096);
}

TEST(Reduction, InfersSymbolsAndUnknownRanks) {
  EXPECT_THAT(inferred("ReduceSum", {"f32[batch, 3]"}), ElementsAre("f32[1, 1]"));
  EXPECT_THAT(inferred("ReduceMean", {"f32"}), ElementsAre("f32"));
  EXPECT_THAT(inferred("ReduceMean", {"f32"}, {{"keepdims", int64_t{0}}}), ElementsAre("f32[]"));
  EXPECT_THAT(inferred("ReduceMean", {"f32[a, b, 4]", "i64[2]"}, {{"keepdims", int64_t{0}}})[0],
              HasSubstr("f32["));
}

TEST(Reduction, DimensionsReduceToDimensions) {
  Graph graph("g");
  Value* x = graph.add_input("x", Type::tensor(DType::kF32, Shape{Dim::symbol("n"), 4}));
  GraphBuilder b(graph);
  Value* product = b.op("ReduceProd", {b.dims(*x->type.shape)}, {{"keepdims", int64_t{0}}});
  ASSERT_TRUE(b.status().ok());
  ASSERT_TRUE(product->contents.has_value());
  EXPECT_EQ((*product->contents)[0].to_string(), "4*n");
}

TEST(Reduction, RefusesAxesThatDoNotFit) {
  EXPECT_THAT(error_of("ReduceSum", {iota({2, 2}), axes({2})}), HasSubstr("axis 2"));
  EXPECT_THAT(error_of("ReduceSum", {iota({2, 2}), axes({1, -1})}), HasSubstr("twice"));
  EXPECT_THAT(error_of("ReduceSum", {iota({2, 2}), iota({1})}), HasSubstr("axes"));
}

TEST(Reduction, Gradients) {
  Tensor x = random_tensor({2, 3, 2}, 1);
  for (const char* op : {"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1",
                         "ReduceL2", "ReduceLogSumExp", "ReduceSumSquare"}) {
    expect_gradient(op, {x, axes({1})}, {{"keepdims", int64_t{0}}}, {0});
    expect_gradient(op, {x, axes({-1})}, {}, {0});
    if (std::string(op) != "ReduceProd") expect_gradient(op, {x}, {{"keepdims", int64_t{0}}}, {0});
  }
  expect_gradient("ReduceLogSum", {Tensor::from<double>({2, 2}, {1, 2, 3, 4}), axes({0})}, {}, {0});
  expect_gradient("CumSum", {x, Tensor::scalar<int64_t>(1)}, {{"exclusive", int64_t{1}}}, {0});
}

TEST(Cumulative, ExclusiveAndReverse) {
  Tensor x = Tensor::from<int32_t>({2, 3}, {1, 2, 3, 4, 5, 6}), axis = Tensor::scalar<int32_t>(-1);
  EXPECT_THAT(result_of("CumSum", {x, axis}).ints(), ElementsAre(1, 3, 6, 4, 9, 15));
  EXPECT_THAT(result_of("CumSum", {x, axis}, {{"exclusive", int64_t{1}}}).ints(),
              ElementsAre(0, 1, 3, 0, 4, 9));
  EXPECT_THAT(result_of("CumSum", {x, axis}, {{"reverse", int64_t{1}}}).ints(),
              ElementsAre(6, 5, 3, 15, 11, 6));
  EXPECT_THAT(result_of("CumProd", {x, axis}, {{"exclusive", int64_t{1}}, {"reverse", int64_t{1}}}).ints(),
              ElementsAre(6, 3, 1, 30, 6, 1));
  EXPECT_THAT(error_of("CumSum", {x, Tensor::scalar<int32_t>(2)}), HasSubstr("axis 2"));
}

TEST(Mean, DividesTheSum) {
  Tensor a = Tensor::from<float>({2}, {1, 2}), b = Tensor::from<float>({1}, {3});
  EXPECT_THAT(numbers_of(result_of("Mean", {a, b})), ElementsAre(2, 2.5));
}

}  // namespace
}  // namespace gannet::test
