#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/support/run_op.h"

namespace gannet::test {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pointwise;

Tensor ones(std::vector<int64_t> extents) {
  Tensor tensor = Tensor::zeros(DType::kF64, std::move(extents));
  for (double& value : tensor.mutable_data<double>()) value = 1;
  return tensor;
}

Attributes equation(const std::string& text) { return {{"equation", text}}; }

TEST(MatMul, BroadcastsBatches) {
  const Tensor a = random_tensor({2, 1, 3, 4}, 1), b = random_tensor({5, 4, 2}, 2);
  EXPECT_THAT(
      numbers_of(result_of("MatMul", {a, b})),
      Pointwise(DoubleNear(1e-12),
                numbers_of(result_of("Einsum", {a, b}, equation("axij,bjk->abik")).reshaped({2, 5, 3, 2}))));
  EXPECT_EQ(result_of("MatMul", {random_tensor({4}, 1), random_tensor({4}, 2)}).extents(),
            std::vector<int64_t>{});
  EXPECT_EQ(result_of("MatMul", {random_tensor({4}, 1), b}).extents(), (std::vector<int64_t>{5, 2}));
  EXPECT_THAT(numbers_of(result_of("MatMul", {ones({2, 0}), ones({0, 1})})), ElementsAre(0, 0));
}

TEST(MatMul, IntegersAreExact) {
  constexpr int64_t kLarge = std::numeric_limits<int64_t>::max();
  EXPECT_THAT(result_of("MatMul",
                        {Tensor::from<int64_t>({1, 2}, {kLarge, -3}), Tensor::from<int64_t>({2, 1}, {1, 2})})
                  .ints(),
              ElementsAre(kLarge - 6));
  EXPECT_THAT(
      result_of("MatMul", {Tensor::from<int32_t>({2}, {65536, 1}), Tensor::from<int32_t>({2}, {65536, -7})})
          .ints(),
      ElementsAre(-7));
}

TEST(MatMul, InfersAndReports) {
  EXPECT_THAT(inferred("MatMul", {"f32[batch, seq, 64]", "f32[64, 10]"}), ElementsAre("f32[batch, seq, 10]"));
  EXPECT_THAT(inferred("MatMul", {"f16", "f16[64, 10]"}), ElementsAre("f16"));
  EXPECT_THAT(error_of("MatMul", {ones({2, 3}), ones({4, 2})}), HasSubstr("inner extents 3 and 4 differ"));
  EXPECT_THAT(error_of("MatMul", {ones({2, 1, 3}), ones({3, 3, 1})}), HasSubstr("do not broadcast"));
  EXPECT_THAT(error_of("MatMul", {ones({}), ones({4, 2})}), HasSubstr("rank 1 or more"));
}

TEST(MatMul, HasGradients) {
  expect_gradient("MatMul", {random_tensor({2, 1, 3, 4}, 1), random_tensor({5, 4, 2}, 2)}, {}, {0, 1});
  expect_gradient("MatMul", {random_tensor({4}, 1), random_tensor({3, 4, 2}, 2)}, {}, {0, 1});
  expect_gradient("MatMul", {random_tensor({3, 4}, 1), random_tensor({4}, 2)}, {}, {0, 1});
  expect_gradient("MatMul", {random_tensor({4}, 1), random_tensor({4}, 2)}, {}, {0, 1});
}

TEST(Gemm, ScalesTransposesAndAdds) {
  for (int64_t mask = 0; mask < 4; ++mask) {
    const int64_t transpose_a = mask & 1, transpose_b = mask >> 1;
    const Tensor a = random_tensor(transpose_a ? std::vector<int64_t>{4, 3} : std::vector<int64_t>{3, 4}, 1);
    const Tensor b = random_tensor(transpose_b ? std::vector<int64_t>{2, 4} : std::vector<int64_t>{4, 2}, 2);
    expect_gradient("Gemm", {a, b, random_tensor({3, 1}, 3)},
                    {{"alpha", 0.5f}, {"beta", 2.0f}, {"transA", transpose_a}, {"transB", transpose_b}},
                    {0, 1, 2});
  }
  const Tensor a = Tensor::from<float>({1, 2}, {1, 2}), b = Tensor::from<float>({2, 2}, {1, 2, 3, 4});
  EXPECT_THAT(numbers_of(result_of("Gemm", {a, b, Tensor::from<float>({2}, {10, 20})}, {{"beta", 0.5f}})),
              ElementsAre(12, 20));
  EXPECT_THAT(numbers_of(result_of("Gemm", {a, b, Tensor::scalar<float>(1)}, {{"transB", int64_t{1}}})),
              ElementsAre(6, 12));
  EXPECT_THAT(error_of("Gemm", {a, b, Tensor::from<float>({3}, {1, 2, 3})}), HasSubstr("do not broadcast"));
  EXPECT_THAT(error_of("Gemm", {a, b, Tensor::from<float>({2, 1}, {1, 2})}),
              HasSubstr("does not broadcast to [1, 2]"));
  EXPECT_THAT(inferred("Gemm", {"f32[n, 8]", "f32[10, 8]", "f32[10]"}, {{"transB", int64_t{1}}}),
              ElementsAre("f32[n, 10]"));
}

TEST(Einsum, DiagonalsSumsAndImplicitOutputs) {
  const Tensor x = Tensor::from<int32_t>({2, 2}, {1, 2, 3, 4});
  EXPECT_THAT(result_of("Einsum", {x}, equation("ii->i")).ints(), ElementsAre(1, 4));
  EXPECT_THAT(result_of("Einsum", {x}, equation("ii")).ints(), ElementsAre(5));
  EXPECT_THAT(result_of("Einsum", {x}, equation("ba")).ints(), ElementsAre(1, 3, 2, 4));
  EXPECT_THAT(result_of("Einsum", {x}, equation(" i j -> ")).ints(), ElementsAre(10));
  EXPECT_THAT(result_of("Einsum", {x, x, x}, equation("ij,jk,kl->il")).ints(), ElementsAre(37, 54, 81, 118));
  EXPECT_THAT(result_of("Einsum", {x, x}, equation("...j,...j->...")).ints(), ElementsAre(5, 25));
  EXPECT_THAT(result_of("Einsum", {x, Tensor::from<int32_t>({1}, {5})}, equation("ij,j->i")).ints(),
              ElementsAre(15, 35));
  EXPECT_THAT(inferred("Einsum", {"f32[b, h, s, 64]", "f32[b, h, 64, t]"}, equation("...ij,...jk")),
              ElementsAre("f32[b, h, s, t]"));
  EXPECT_THAT(error_of("Einsum", {x}, equation("ij->k")), HasSubstr("label 'k' is in no input"));
  EXPECT_THAT(error_of("Einsum", {x}, equation("ijk")),
              HasSubstr("input 0 has rank 2, its term 'ijk' has 3 labels"));
  EXPECT_THAT(error_of("Einsum", {x, Tensor::from<int32_t>({3}, {1, 2, 3})}, equation("ij,j")),
              HasSubstr("label 'j' stands for extents 2 and 3"));
  EXPECT_THAT(error_of("Einsum", {x}, equation("i#")), HasSubstr("'i#'"));
  EXPECT_THAT(error_of("Einsum", {x}, equation("ij,jk")), HasSubstr("2 terms for 1 inputs"));
}

TEST(Einsum, HasGradients) {
  const Tensor a = random_tensor({2, 3, 4}, 1), b = random_tensor({1, 4, 5}, 2), v = random_tensor({3}, 3);
  expect_gradient("Einsum", {a, b}, equation("...ij,...jk->...ik"), {0, 1});
  expect_gradient("Einsum", {a, b, v}, equation("bij,cjk,i->kb"), {0, 1, 2});
  expect_gradient("Einsum", {a}, equation("bij->j"), {0});
}

TEST(MatMulInteger, TakesZeroPointsOfRowsAndColumns) {
  const Tensor a = Tensor::from<uint8_t>({2, 2}, {1, 2, 3, 4}),
               b = Tensor::from<int8_t>({2, 2}, {1, -1, 2, 0});
  EXPECT_THAT(result_of("MatMulInteger", {a, b}).ints(), ElementsAre(5, -1, 11, -3));
  const Tensor rows = Tensor::from<uint8_t>({2}, {1, 0}), columns = Tensor::from<int8_t>({2}, {0, -1});
  EXPECT_THAT(result_of("MatMulInteger", {a, b, rows, columns}).ints(), ElementsAre(2, 1, 11, 4));
  EXPECT_THAT(error_of("MatMulInteger", {a, ones({2, 2})}), HasSubstr("must be i8 or u8"));
}

TEST(QLinearMatMul, RoundsAndSaturates) {
  const Tensor a = Tensor::from<uint8_t>({1, 2}, {200, 200}),
               b = Tensor::from<uint8_t>({2, 2}, {200, 1, 200, 2});
  const Tensor one = Tensor::scalar<float>(1), zero = Tensor::scalar<uint8_t>(0),
               four = Tensor::scalar<float>(400);
  EXPECT_THAT(
      result_of("QLinearMatMul", {a, one, zero, b, one, zero, four, Tensor::scalar<uint8_t>(10)}).ints(),
      ElementsAre(210, 12));
  EXPECT_THAT(result_of("QLinearMatMul", {a, one, zero, b, one, zero, one, zero}).ints(),
              ElementsAre(255, 255));
}

TEST(Det, OfStacksOfMatrices) {
  EXPECT_THAT(numbers_of(result_of("Det", {Tensor::from<double>({2, 2, 2}, {0, 1, 1, 0, 2, 4, 1, 2})})),
              ElementsAre(-1, 0));
  EXPECT_THAT(numbers_of(result_of("Det", {Tensor::zeros(DType::kF32, {1, 0, 0})})), ElementsAre(1));
  EXPECT_THAT(error_of("Det", {ones({2, 3})}), HasSubstr("2 rows and 3 columns"));
}

}  // namespace
}  // namespace gannet::test
