#include "runtime/data/tensor_statistics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace gannet {
namespace {

using testing::ElementsAre;

TEST(TensorStatistics, CountsWhatIsNotFinite) {
  TensorStatistics result = statistics(Tensor::from<float>({6}, {1, 3, NAN, INFINITY, -INFINITY, 2}));
  EXPECT_EQ(result.nans, 1);
  EXPECT_EQ(result.infinities, 2);
  ASSERT_TRUE(result.moments);
  EXPECT_EQ(result.moments->min, 1);
  EXPECT_EQ(result.moments->max, 3);
  EXPECT_EQ(result.moments->mean, 2);
  EXPECT_NEAR(result.moments->std, std::sqrt(2.0 / 3), 1e-12);
  EXPECT_EQ(to_string(result), "min 1 max 3 mean 2 std 0.816497, 1 NaN, 2 infinite; 1 3 nan inf -inf ...");
}

TEST(TensorStatistics, WorksForEveryType) {
  for (int number = 1; number < kDTypeCount; ++number) {
    Tensor tensor = Tensor::zeros(static_cast<DType>(number), {2});
    TensorStatistics result = statistics(tensor);
    EXPECT_EQ(result.first.size(), 2u);
    EXPECT_NE(to_string(result), "");
    EXPECT_EQ(result.moments.has_value(), !is_complex(tensor.dtype()) && tensor.dtype() != DType::kString);
  }
  EXPECT_EQ(to_string(statistics(Tensor::zeros(DType::kF32, {0}))), "no elements");
  EXPECT_EQ(to_string(statistics(Tensor())), "no elements");
}

TEST(TensorStatistics, WritesElementsExactly) {
  EXPECT_EQ(element_text(Tensor::scalar(int64_t{9007199254740993}), 0), "9007199254740993");
  EXPECT_EQ(element_text(Tensor::scalar(0.1f), 0), "0.1");
  EXPECT_EQ(element_text(Tensor::scalar<int8_t>(-3), 0), "-3");
  EXPECT_EQ(element_text(Tensor::scalar<uint8_t>(65), 0), "65");
  EXPECT_EQ(element_text(Tensor::scalar(true), 0), "true");
  EXPECT_EQ(element_text(Tensor::scalar(Half(1.5f)), 0), "1.5");
  EXPECT_EQ(element_text(Tensor::scalar(std::complex<float>(1, -2)), 0), "(1-2i)");
  EXPECT_EQ(element_text(Tensor::scalar(std::string("a\"\n")), 0), "\"a\\\"\\x0a\"");
}

TEST(TopK, OrdersNumbersBeforeNan) {
  Tensor tensor = Tensor::from<float>({2, 4}, {0, 0, 0, 0, 1, NAN, 5, 1});
  std::vector<int64_t> indices;
  for (const Ranked& ranked : top_k(tensor, 1, 9)) indices.push_back(ranked.index);
  EXPECT_THAT(indices, ElementsAre(2, 0, 3, 1));
  EXPECT_EQ(top_k(tensor, 1, 1)[0].value, 5);
  EXPECT_TRUE(top_k(tensor, 0, 0).empty());
  EXPECT_EQ(top_k(Tensor::scalar(2.f), 0, 5).size(), 1u);
}

}  // namespace
}  // namespace gannet
