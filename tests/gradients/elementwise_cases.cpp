#include <algorithm>
#include <cmath>

#include "ir/base/random.h"
#include "tests/gradients/cases.h"

namespace gannet::test {
namespace {

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

void add_row(Cases& cases, const Row& row, const std::vector<Ints>& extents) {
  std::vector<Tensor> inputs;
  for (int i = 0; i < row.arity; ++i) inputs.push_back(drawn(row, extents[static_cast<size_t>(i)], 3 + static_cast<uint64_t>(i)));
  Model model = [row](GraphBuilder& b, Operands x) {
    std::vector<Value*> operands(x.begin(), x.end());
    if (row.op == "Mod") operands.push_back(b.number(0.75, x[0]));
    return b.op(row.op, operands, row.attrs);
  };
  cases.add(row.op, std::move(model), std::move(inputs));
}

}  // namespace

void elementwise_cases(Cases& cases) {
  for (const Row& row : rows()) {
    add_row(cases, row, {{7}, {7}, {7}});
    if (row.arity == 1) continue;
    add_row(cases, row, {{3, 1, 2}, {4, 1}, {2}});
    add_row(cases, row, {{}, {1, 3}, {1}});
  }
  Tensor condition = Tensor::from<bool>({2, 1}, {true, false});
  Model where = [](GraphBuilder& b, Operands x) { return b.op("Where", {x[0], x[1], x[2]}); };
  cases.add("Where", where, {condition, random_tensor({3}, 1), random_tensor({2, 3}, 2)});
  Model map = [](GraphBuilder& b, Operands x) { return b.map(ScalarExpr::arg(0) * scalar::tanh(ScalarExpr::arg(1)), {x[0], x[1]}); };
  cases.add("Map", map, {random_tensor({3}, 1), random_tensor({2, 3}, 2)});
}

}  // namespace gannet::test
