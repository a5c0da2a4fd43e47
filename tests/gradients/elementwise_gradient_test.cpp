#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ir/vjp.h"
#include "tests/support/gradient_check.h"
#include "tests/support/run_op.h"

namespace gannet::test {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;

// Gradients of each operand of one row at one point, by the row's rule alone.
std::vector<double> at(const std::string& op, std::vector<double> x, const Attributes& attrs = {}) {
  std::vector<Tensor> inputs;
  for (double number : x) inputs.push_back(Tensor::scalar(number));
  Model model = [&](GraphBuilder& b, std::span<Value* const> values) {
    return b.op(op, {values.begin(), values.end()}, attrs);
  };
  std::vector<double> gradients;
  for (const Tensor& gradient : gradients_of(model, inputs)) gradients.push_back(gradient.double_at(0));
  return gradients;
}

// The conventions of docs/numerics.md, which are PyTorch's.
TEST(ElementwiseGradient, KinksFollowTheConventions) {
  EXPECT_THAT(at("Relu", {0}), ElementsAre(0));
  EXPECT_THAT(at("Abs", {0}), ElementsAre(0));
  EXPECT_THAT(at("LeakyRelu", {0}, {{"alpha", 0.25f}}), ElementsAre(0.25));
  EXPECT_THAT(at("PRelu", {0, 0.25}), ElementsAre(0.25, 0));
  EXPECT_THAT(at("Elu", {0}, {{"alpha", 2.f}}), ElementsAre(2));
  EXPECT_THAT(at("Celu", {0}, {{"alpha", 2.f}}), ElementsAre(1));
  EXPECT_THAT(at("Selu", {0}), ElementsAre(DoubleNear(1.7580993408473766, 1e-6)));
  EXPECT_THAT(at("HardSigmoid", {-2.5}, {{"alpha", 0.2f}}), ElementsAre(0));
  EXPECT_THAT(at("HardSwish", {-3}), ElementsAre(0));
  EXPECT_THAT(at("HardSwish", {3}), ElementsAre(1));
  EXPECT_THAT(at("ThresholdedRelu", {1}), ElementsAre(0));
  EXPECT_THAT(at("Shrink", {0.5}), ElementsAre(0));
  EXPECT_THAT(at("Shrink", {-0.5}), ElementsAre(0));
  EXPECT_THAT(at("Softsign", {0}), ElementsAre(1));
  EXPECT_THAT(at("Sqrt", {0}), ElementsAre(HUGE_VAL));
}

TEST(ElementwiseGradient, TiesAndBoundsFollowTheConventions) {
  EXPECT_THAT(at("Max", {2, 2}), ElementsAre(0.5, 0.5));
  EXPECT_THAT(at("Min", {2, 2}), ElementsAre(0.5, 0.5));
  EXPECT_THAT(at("Max", {1, 2}), ElementsAre(0, 1));
  EXPECT_THAT(at("Min", {1, 2}), ElementsAre(1, 0));
  EXPECT_THAT(at("Max", {std::nan(""), 2}), ElementsAre(1, 1));
  EXPECT_THAT(at("Clip", {1, 1, 3}), ElementsAre(1, 0, 0));
  EXPECT_THAT(at("Clip", {3, 1, 3}), ElementsAre(1, 0, 0));
  EXPECT_THAT(at("Clip", {0, 1, 3}), ElementsAre(0, 1, 0));
  EXPECT_THAT(at("Clip", {4, 1, 3}), ElementsAre(0, 0, 1));
}

TEST(ElementwiseGradient, PowersAtZero) {
  using testing::NanSensitiveDoubleEq;
  EXPECT_THAT(at("Pow", {0, 0}), ElementsAre(0, 0));
  EXPECT_THAT(at("Pow", {0, 2}), ElementsAre(0, 0));
  EXPECT_THAT(at("Pow", {0, 1}), ElementsAre(1, 0));
  EXPECT_THAT(at("Pow", {0, 0.5}), ElementsAre(HUGE_VAL, 0));
  EXPECT_THAT(at("Pow", {0, -1}), ElementsAre(-HUGE_VAL, -HUGE_VAL));
  EXPECT_THAT(at("Pow", {-2, 2}), ElementsAre(-4, NanSensitiveDoubleEq(std::nan(""))));
}

// Far from zero neither branch of a select may poison the other.
TEST(ElementwiseGradient, LargeOperandsStayFinite) {
  for (const char* op :
       {"Elu", "Celu", "Selu", "Softplus", "Mish", "Sigmoid", "Tanh", "Swish", "Gelu", "Erf", "HardSwish"}) {
    for (double x : {-1000.0, 1000.0}) EXPECT_TRUE(std::isfinite(at(op, {x})[0])) << op << " at " << x;
  }
}

TEST(ElementwiseGradient, TheThirdOrder) {
  Model tanh = [](GraphBuilder& b, std::span<Value* const> x) { return b.op("Tanh", {x[0]}); };
  expect_gradients("Tanh", tanh, {random_tensor({4}, 1)}, {.order = 3, .tolerance = 1e-5});
}

TEST(ElementwiseGradient, OnlyTheChosenOperandOfWhereGetsAGradient) {
  Tensor condition = Tensor::from<bool>({2, 1}, {true, false});
  Model model = [](GraphBuilder& b, std::span<Value* const> x) { return b.op("Where", {x[0], x[1], x[2]}); };
  expect_gradients("Where", model, {condition, random_tensor({3}, 1), random_tensor({2, 3}, 2)});
}

TEST(ElementwiseGradient, ExponentsOfAnotherTypeAreConstants) {
  Model model = [](GraphBuilder& b, std::span<Value* const> x) { return b.op("Pow", {x[0], x[1]}); };
  expect_gradients("Pow", model, {random_tensor({3}, 1), Tensor::of_ints(std::vector<int64_t>{0, 3, 2})});
  expect_gradients("Pow", model, {random_tensor({3}, 1), Tensor::from<float>({1}, {2.f})}, {.order = 2});
}

TEST(ElementwiseGradient, GradientsHaveTheTypeOfTheirOperand) {
  Graph graph;
  Value* x = graph.add_input("x", Type::tensor(DType::kF16, Shape{2}));
  Value* y = graph.add_input("y", Type::tensor(DType::kF32, Shape{2}));
  GraphBuilder b(graph);
  Value* power = b.op("Pow", {x, y});
  VjpContext context(b, *power->producer(), {b.op("Neg", {power})});
  ASSERT_TRUE(elementwise_vjp(context).ok());
  ASSERT_TRUE(b.status().ok()) << b.status().error().message;
  EXPECT_EQ(to_string(context.results()[0]->type), "f16[2]");
  EXPECT_EQ(to_string(context.results()[1]->type), "f32[2]");
}

}  // namespace
}  // namespace gannet::test
