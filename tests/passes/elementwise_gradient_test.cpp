#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "ir/base/random.h"
#include "ir/op.h"
#include "ir/vjp.h"
#include "tests/support/gradient_check.h"
#include "tests/support/run_op.h"

namespace gannet::test {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;

// A differentiable row on operands drawn from [low, high), none closer than `distance` to a kink.
struct Row {
  std::string op;
  Attributes attrs;
  int arity;
  double low, high;
  std::vector<double> kinks;
};

std::vector<Row> rows() {
  return {
      {"Add", {}, 2, -2, 2, {}},
      {"Sub", {}, 2, -2, 2, {}},
      {"Mul", {}, 2, -2, 2, {}},
      {"Div", {}, 2, 0.5, 2, {}},
      {"Mod", {{"fmod", int64_t{1}}}, 1, -2, 2, {0, -0.75, 0.75, 1.5, -1.5}},
      {"Mod", {}, 1, -2, 2, {0, -0.75, 0.75, 1.5, -1.5}},
      {"Pow", {}, 2, 0.5, 2, {}},
      {"Neg", {}, 1, -2, 2, {}},
      {"Abs", {}, 1, -2, 2, {0}},
      {"Sign", {}, 1, -2, 2, {0}},
      {"Reciprocal", {}, 1, 0.5, 2, {}},
      {"Sqrt", {}, 1, 0.5, 2, {}},
      {"Exp", {}, 1, -2, 2, {}},
      {"Log", {}, 1, 0.5, 2, {}},
      {"Floor", {}, 1, -2, 2, {-1, 0, 1}},
      {"Ceil", {}, 1, -2, 2, {-1, 0, 1}},
      {"Round", {}, 1, -2, 2, {-1.5, -0.5, 0.5, 1.5}},
      {"Erf", {}, 1, -2, 2, {}},
      {"Max", {}, 3, -2, 2, {}},
      {"Min", {}, 3, -2, 2, {}},
      {"Sum", {}, 3, -2, 2, {}},
      {"Sin", {}, 1, -2, 2, {}},
      {"Cos", {}, 1, -2, 2, {}},
      {"Tan", {}, 1, -1, 1, {}},
      {"Asin", {}, 1, -0.8, 0.8, {}},
      {"Acos", {}, 1, -0.8, 0.8, {}},
      {"Atan", {}, 1, -2, 2, {}},
      {"Sinh", {}, 1, -2, 2, {}},
      {"Cosh", {}, 1, -2, 2, {}},
      {"Tanh", {}, 1, -2, 2, {}},
      {"Asinh", {}, 1, -2, 2, {}},
      {"Acosh", {}, 1, 1.5, 3, {}},
      {"Atanh", {}, 1, -0.8, 0.8, {}},
      {"Relu", {}, 1, -2, 2, {0}},
      {"LeakyRelu", {{"alpha", 0.2f}}, 1, -2, 2, {0}},
      {"PRelu", {}, 2, -2, 2, {0}},
      {"ThresholdedRelu", {{"alpha", 0.5f}}, 1, -2, 2, {0.5}},
      {"Elu", {{"alpha", 2.f}}, 1, -2, 2, {0}},
      {"Celu", {{"alpha", 2.f}}, 1, -2, 2, {0}},
      {"Selu", {}, 1, -2, 2, {0}},
      {"Sigmoid", {}, 1, -2, 2, {}},
      {"HardSigmoid", {}, 1, -4, 4, {-2.5, 2.5}},
      {"HardSwish", {}, 1, -5, 5, {-3, 3}},
      {"Softplus", {}, 1, -2, 2, {}},
      {"Softsign", {}, 1, -2, 2, {0}},
      {"Mish", {}, 1, -2, 2, {}},
      {"Gelu", {}, 1, -2, 2, {}},
      {"Gelu", {{"approximate", std::string("tanh")}}, 1, -2, 2, {}},
      {"Swish", {{"alpha", 0.5f}}, 1, -2, 2, {}},
      {"Shrink", {{"bias", 0.25f}, {"lambd", 1.f}}, 1, -2, 2, {-1, 1}},
      {"Clip", {}, 3, -2, 2, {}},
      {"Clip", {}, 1, -2, 2, {}},
  };
}

Tensor drawn(const Row& row, std::vector<int64_t> extents, uint64_t seed) {
  constexpr double kDistance = 0.02;
  Tensor tensor = Tensor::zeros(DType::kF64, std::move(extents));
  Random random(seed);
  auto near_kink = [&](double x) {
    return std::any_of(row.kinks.begin(), row.kinks.end(),
                       [&](double kink) { return std::fabs(x - kink) < kDistance; });
  };
  for (double& value : tensor.mutable_data<double>()) {
    do value = random.uniform(row.low, row.high);
    while (near_kink(value));
  }
  return tensor;
}

void expect_row(const Row& row, const std::vector<std::vector<int64_t>>& extents, int order) {
  std::vector<Tensor> inputs;
  for (int i = 0; i < row.arity; ++i)
    inputs.push_back(drawn(row, extents[static_cast<size_t>(i)], 3 + static_cast<uint64_t>(i)));
  Model model = [&](GraphBuilder& b, std::span<Value* const> x) {
    std::vector<Value*> operands(x.begin(), x.end());
    if (row.op == "Mod") operands.push_back(b.number(0.75, x[0]));
    return b.op(row.op, operands, row.attrs);
  };
  GradientCheck check;
  check.order = order;
  if (order > 1) check.tolerance = 1e-5;
  expect_gradients(row.op, model, inputs, check);
}

TEST(ElementwiseGradient, EveryRowAgreesWithDifferences) {
  for (const Row& row : rows()) expect_row(row, {{7}, {7}, {7}}, 1);
}

TEST(ElementwiseGradient, BroadcastOperandsSumTheirGradients) {
  for (const Row& row : rows()) {
    if (row.arity == 1) continue;
    expect_row(row, {{3, 1, 2}, {4, 1}, {2}}, 1);
    expect_row(row, {{}, {1, 3}, {1}}, 1);
  }
}

TEST(ElementwiseGradient, TheGradientHasAGradient) {
  std::set<std::string> piecewise_linear = {
      "Add", "Sub", "Neg",  "Abs",  "Sign", "Floor",           "Ceil",        "Round",  "Max",
      "Min", "Sum", "Relu", "Clip", "Mod",  "ThresholdedRelu", "HardSigmoid", "Shrink", "LeakyRelu"};
  for (const Row& row : rows()) {
    if (!piecewise_linear.contains(row.op)) expect_row(row, {{5}, {5}, {5}}, 2);
  }
  expect_row({"Mul", {}, 2, -2, 2, {}}, {{2, 3}, {3}}, 2);
  expect_row({"Tanh", {}, 1, -1, 1, {}}, {{4}}, 3);
}

TEST(ElementwiseGradient, NoRowIsForgotten) {
  std::set<std::string_view> tested = {"Where", "IsNaN", "IsInf"};
  std::vector<Row> all = rows();
  for (const Row& row : all) tested.insert(row.op);
  for (const OpDef& op : all_ops()) {
    bool takes_floats = op.body && (op.types & kFloats);
    bool compares = op.name == "Equal" || op.name.starts_with("Less") || op.name.starts_with("Greater");
    EXPECT_TRUE(!takes_floats || compares || tested.contains(op.name)) << op.name;
  }
}

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
