// What passes straight through rounding cannot be seen in differences: the rules are compared with what PyTorch's learnable
// fake quantization gives, worked out by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ir/evaluate.h"
#include "passes/differentiate.h"
#include "tests/gradients/cases.h"

namespace gannet::test {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;

// Gradients of the sum of fake-quantized x with respect to x and the scale.
std::vector<std::vector<double>> through_codes(const Tensor& x, const Tensor& scale, const Attributes& attrs,
                                               const std::function<Value*(GraphBuilder&, Value*)>& between = {}) {
  Model model = [&](GraphBuilder& b, Operands v) {
    Value* zero = b.constant(Tensor::zeros(DType::kI8, scale.extents()));
    Value* codes = b.op("QuantizeLinear", {v[0], v[1], zero}, attrs);
    if (between) codes = between(b, codes);
    return b.op("DequantizeLinear", {codes, v[1], zero}, attrs);
  };
  std::vector<std::vector<double>> gradients;
  for (const Tensor& gradient : gradients_of(model, {x, scale})) gradients.push_back(numbers_of(gradient));
  return gradients;
}

TEST(QuantizationGradient, PassesInsideOfTheRangeAndStopsOutside) {
  auto gradients = through_codes(Tensor::from<double>({4}, {0.3, -0.26, 100, -100}), Tensor::scalar(0.5), {});
  EXPECT_THAT(gradients[0], ElementsAre(1, 1, 0, 0));
  // round(x / s) - x / s inside, the end of the range outside.
  EXPECT_THAT(gradients[1], ElementsAre(DoubleNear((1 - 0.6) + (-1 + 0.52) + 127 - 128, 1e-12)));
}

TEST(QuantizationGradient, ScalesOfAnAxisCollectTheirOwn) {
  auto gradients = through_codes(Tensor::from<double>({2, 2}, {0.3, 0.7, -0.2, 0.1}), Tensor::from<double>({2}, {0.5, 0.25}), {{"axis", int64_t{1}}});
  EXPECT_THAT(gradients[0], ElementsAre(1, 1, 1, 1));
  EXPECT_THAT(gradients[1], ElementsAre(DoubleNear(1 - 0.6 + 0 + 0.4, 1e-12), DoubleNear(3 - 2.8 + 0 - 0.4, 1e-12)));
}

TEST(QuantizationGradient, PassesWhereCodesAreMoved) {
  auto gradients = through_codes(Tensor::from<double>({2, 2}, {0.3, 0.7, -0.2, 100}), Tensor::scalar(0.5), {}, [](GraphBuilder& b, Value* codes) {
    return b.reshape(b.transpose(codes, {1, 0}), {Dim(4)});
  });
  EXPECT_THAT(gradients[0], ElementsAre(1, 1, 1, 0));
}

// A cast to integers is no quantization.
TEST(QuantizationGradient, StopsAtCasts) {
  Model model = [](GraphBuilder& b, Operands x) { return b.cast(b.cast(x[0], DType::kI8), DType::kF64); };
  EXPECT_THAT(numbers_of(gradients_of(model, {Tensor::from<double>({2}, {0.3, 5})})[0]), ElementsAre(0));
}

TEST(QuantizationGradient, OfQuantizedContractions) {
  auto zero = [](GraphBuilder& b) { return b.constant(Tensor::scalar<int8_t>(0)); };
  Tensor weights = Tensor::from<int8_t>({2, 2}, {1, 2, 3, 4});
  Model product = [&](GraphBuilder& b, Operands x) {
    Value *one = b.constant(Tensor::scalar(1.f)), *codes = b.op("QuantizeLinear", {b.cast(x[0], DType::kF32), one, zero(b)});
    Value* y = b.op("QLinearMatMul", {codes, one, zero(b), b.constant(weights), one, zero(b), one, zero(b)});
    return b.cast(b.op("DequantizeLinear", {y, one, zero(b)}), DType::kF64);
  };
  EXPECT_THAT(numbers_of(gradients_of(product, {Tensor::from<double>({1, 2}, {2, 3})})[0]), ElementsAre(3, 7));
  Model convolution = [&](GraphBuilder& b, Operands x) {
    Value *one = b.constant(Tensor::scalar(1.f)), *codes = b.op("QuantizeLinear", {b.cast(x[0], DType::kF32), one, zero(b)});
    Value* w = b.constant(weights.reshaped({1, 1, 2, 2}));
    Value* y = b.op("QLinearConv", {codes, one, zero(b), w, one, zero(b), one, zero(b)});
    return b.cast(b.op("DequantizeLinear", {y, one, zero(b)}), DType::kF64);
  };
  EXPECT_THAT(numbers_of(gradients_of(convolution, {Tensor::from<double>({1, 1, 2, 2}, {2, 3, 1, 1})})[0]), ElementsAre(1, 2, 3, 4));
}

TEST(QuantizationGradient, DynamicScalesAreTakenAsConstant) {
  Model model = [](GraphBuilder& b, Operands x) {
    auto codes = b.op_n("DynamicQuantizeLinear", {b.cast(x[0], DType::kF32)}, {}, 3);
    return b.cast(b.op("DequantizeLinear", codes), DType::kF64);
  };
  for (double g : numbers_of(gradients_of(model, {Tensor::from<double>({3}, {-1, 0.25, 2})})[0])) EXPECT_NEAR(g, 1, 1e-6);
}

}  // namespace
}  // namespace gannet::test
