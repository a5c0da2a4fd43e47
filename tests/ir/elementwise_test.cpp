#include "ir/elementwise.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <set>

#include "ir/base/random.h"
#include "ir/op.h"
#include "tests/support/run_op.h"

namespace gannet::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// A floating point row computed independently in f64, on operands drawn from [low, high).
struct RealRow {
  std::string op;
  Attributes attrs;
  int arity;
  std::function<double(double, double, double)> value;
  double low = -3, high = 3;
};

double clamped(double x, double low, double high) { return std::min(std::max(x, low), high); }

std::vector<RealRow> real_rows() {
  auto unary = [](double (*f)(double)) { return [f](double x, double, double) { return f(x); }; };
  return {
      {"Add", {}, 2, [](double x, double y, double) { return x + y; }},
      {"Sub", {}, 2, [](double x, double y, double) { return x - y; }},
      {"Mul", {}, 2, [](double x, double y, double) { return x * y; }},
      {"Div", {}, 2, [](double x, double y, double) { return x / y; }},
      {"Mod", {{"fmod", int64_t{1}}}, 2, [](double x, double y, double) { return std::fmod(x, y); }},
      {"Mod", {}, 2, [](double x, double y, double) { return x - y * std::floor(x / y); }},
      {"Pow", {}, 2, [](double x, double y, double) { return std::pow(x, y); }, 0.1, 3},
      {"Neg", {}, 1, [](double x, double, double) { return -x; }},
      {"Abs", {}, 1, unary(std::fabs)},
      {"Sign", {}, 1, [](double x, double, double) { return x > 0   ? 1.0
                                                            : x < 0 ? -1.0
                                                                    : 0.0; }},
      {"Reciprocal", {}, 1, [](double x, double, double) { return 1 / x; }},
      {"Sqrt", {}, 1, unary(std::sqrt), 0, 9},
      {"Exp", {}, 1, unary(std::exp)},
      {"Log", {}, 1, unary(std::log), 0.1, 9},
      {"Floor", {}, 1, unary(std::floor)},
      {"Ceil", {}, 1, unary(std::ceil)},
      {"Round", {}, 1, unary(std::nearbyint)},
      {"Erf", {}, 1, unary(std::erf)},
      {"Max", {}, 3, [](double x, double y, double z) { return std::max(std::max(x, y), z); }},
      {"Min", {}, 3, [](double x, double y, double z) { return std::min(std::min(x, y), z); }},
      {"Sum", {}, 3, [](double x, double y, double z) { return x + y + z; }},
      {"Sin", {}, 1, unary(std::sin)},
      {"Cos", {}, 1, unary(std::cos)},
      {"Tan", {}, 1, unary(std::tan), -1.4, 1.4},
      {"Asin", {}, 1, unary(std::asin), -1, 1},
      {"Acos", {}, 1, unary(std::acos), -1, 1},
      {"Atan", {}, 1, unary(std::atan)},
      {"Sinh", {}, 1, unary(std::sinh)},
      {"Cosh", {}, 1, unary(std::cosh)},
      {"Tanh", {}, 1, unary(std::tanh)},
      {"Asinh", {}, 1, unary(std::asinh)},
      {"Acosh", {}, 1, unary(std::acosh), 1.1, 9},
      {"Atanh", {}, 1, unary(std::atanh), -0.9, 0.9},
      {"Relu", {}, 1, [](double x, double, double) { return std::max(x, 0.0); }},
      {"LeakyRelu", {}, 1, [](double x, double, double) { return x < 0 ? double{0.01f} * x : x; }},
      {"LeakyRelu", {{"alpha", 0.25f}}, 1, [](double x, double, double) { return x < 0 ? 0.25 * x : x; }},
      {"PRelu", {}, 2, [](double x, double y, double) { return x < 0 ? y * x : x; }},
      {"ThresholdedRelu", {}, 1, [](double x, double, double) { return x > 1 ? x : 0; }},
      {"Elu",
       {{"alpha", 2.f}},
       1,
       [](double x, double, double) { return x < 0 ? 2 * (std::exp(x) - 1) : x; }},
      {"Celu",
       {{"alpha", 2.f}},
       1,
       [](double x, double, double) { return std::max(0.0, x) + std::min(0.0, 2 * (std::exp(x / 2) - 1)); }},
      {"Selu",
       {},
       1,
       [](double x, double, double) {
         return double{1.05070102f} * (x > 0 ? x : double{1.67326319f} * (std::exp(x) - 1));
       }},
      {"Sigmoid", {}, 1, [](double x, double, double) { return 1 / (1 + std::exp(-x)); }},
      {"HardSigmoid", {}, 1, [](double x, double, double) { return clamped(double{0.2f} * x + 0.5, 0, 1); }},
      {"HardSwish", {}, 1, [](double x, double, double) { return x * clamped(x / 6 + 0.5, 0, 1); }, -5, 5},
      {"Softplus", {}, 1, [](double x, double, double) { return std::log(1 + std::exp(x)); }},
      {"Softsign", {}, 1, [](double x, double, double) { return x / (1 + std::fabs(x)); }},
      {"Mish", {}, 1, [](double x, double, double) { return x * std::tanh(std::log(1 + std::exp(x))); }},
      {"Gelu", {}, 1, [](double x, double, double) { return x * 0.5 * (1 + std::erf(x / std::sqrt(2.0))); }},
      {"Gelu",
       {{"approximate", std::string("tanh")}},
       1,
       [](double x, double, double) {
         return x * 0.5 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
       }},
      {"Swish", {{"alpha", 0.5f}}, 1, [](double x, double, double) { return x / (1 + std::exp(-0.5 * x)); }},
      {"Shrink",
       {{"bias", 0.25f}, {"lambd", 1.f}},
       1,
       [](double x, double, double) { return x < -1  ? x + 0.25
                                             : x > 1 ? x - 0.25
                                                     : 0; }},
      {"Clip", {}, 3, [](double x, double y, double z) { return std::min(std::max(x, y), z); }},
      {"Clip", {}, 2, [](double x, double y, double) { return std::max(x, y); }},
      {"Clip", {}, 1, [](double x, double, double) { return x; }},
      {"Equal", {}, 2, [](double x, double y, double) { return x == y; }},
      {"Greater", {}, 2, [](double x, double y, double) { return x > y; }},
      {"GreaterOrEqual", {}, 2, [](double x, double y, double) { return x >= y; }},
      {"Less", {}, 2, [](double x, double y, double) { return x < y; }},
      {"LessOrEqual", {}, 2, [](double x, double y, double) { return x <= y; }},
      {"IsNaN", {}, 1, [](double x, double, double) { return std::isnan(x); }},
      {"IsInf", {}, 1, [](double x, double, double) { return std::isinf(x); }},
  };
}

Tensor drawn(DType dtype, std::vector<int64_t> extents, double low, double high, uint64_t seed) {
  Tensor tensor = Tensor::zeros(DType::kF64, std::move(extents));
  Random random(seed);
  for (double& value : tensor.mutable_data<double>()) value = random.uniform(low, high);
  return *convert(tensor, dtype);
}

// Element i of `tensor` read as if it had `result` extents.
int64_t broadcast_index(const Tensor& tensor, const std::vector<int64_t>& result, int64_t i) {
  int64_t index = 0, stride = 1;
  for (size_t from_end = 0; from_end < result.size(); ++from_end) {
    int64_t extent = result[result.size() - 1 - from_end], at = i % extent;
    i /= extent;
    if (from_end >= tensor.extents().size()) continue;
    int64_t own = tensor.extents()[tensor.extents().size() - 1 - from_end];
    if (own != 1) index += at * stride;
    stride *= own;
  }
  return index;
}

void expect_row(const RealRow& row, DType dtype, const std::vector<std::vector<int64_t>>& extents,
                const std::vector<int64_t>& wanted) {
  std::vector<Tensor> operands;
  for (int i = 0; i < row.arity; ++i) {
    operands.push_back(
        drawn(dtype, extents[static_cast<size_t>(i)], row.low, row.high, 11 + static_cast<uint64_t>(i)));
  }
  Tensor result = result_of(row.op, operands, row.attrs);
  ASSERT_TRUE(result.defined()) << row.op;
  ASSERT_EQ(result.extents(), wanted) << row.op;
  double precision = dtype == DType::kF64   ? 1e-14
                     : dtype == DType::kF32 ? 4e-7
                     : dtype == DType::kF16 ? 6e-4
                                            : 5e-3;
  for (int64_t i = 0; i < result.elements(); ++i) {
    double x[3] = {};
    double magnitude = 1;
    for (size_t k = 0; k < operands.size(); ++k) {
      x[k] = operands[k].double_at(broadcast_index(operands[k], wanted, i));
      magnitude = std::max(magnitude, std::fabs(x[k]));
    }
    double expected = row.value(x[0], x[1], x[2]);
    ASSERT_NEAR(result.double_at(i), expected, precision * std::max(magnitude, 4 * std::fabs(expected)))
        << row.op << " of " << name_of(dtype) << " at " << x[0] << ", " << x[1] << ", " << x[2];
  }
}

TEST(Elementwise, EveryRealRowComputesItsFunction) {
  for (const RealRow& row : real_rows()) {
    for (DType dtype : {DType::kF64, DType::kF32, DType::kF16, DType::kBF16}) {
      bool has_jumps = row.op == "Mod" && dtype != DType::kF64;  // a quotient that rounds to an integer
      if (!has_jumps) expect_row(row, dtype, {{300}, {300}, {300}}, {300});
    }
  }
}

TEST(Elementwise, BlocksOfEverySizeAreComputedWhole) {
  for (const RealRow& row : real_rows()) {
    if (row.op != "Add" && row.op != "Relu" && row.op != "Clip") continue;
    for (int64_t n : {1, 255, 256, 257, 511, 512, 513, 1000}) {
      expect_row(row, DType::kF64, {{n}, {n}, {n}}, {n});
      expect_row(row, DType::kF16, {{n}, {n}, {n}}, {n});
      expect_row(row, DType::kF32, {{n}, {1}, {}}, {n});
    }
  }
}

TEST(Elementwise, OperandsOfAwkwardShapesBroadcast) {
  RealRow add{"Sum", {}, 3, [](double x, double y, double z) { return x + y + z; }};
  for (DType dtype : {DType::kF64, DType::kBF16}) {
    expect_row(add, dtype, {{3, 1, 100}, {1, 7, 1}, {100}}, {3, 7, 100});
    expect_row(add, dtype, {{1}, {5, 1, 1, 60}, {3, 1, 1}}, {5, 3, 1, 60});
    expect_row(add, dtype, {{2, 1, 3, 1, 50}, {1, 4, 1, 2, 50}, {2, 4, 3, 2, 1}}, {2, 4, 3, 2, 50});
    expect_row(add, dtype, {{}, {1, 1}, {1}}, {1, 1});
    expect_row(add, dtype, {{257, 1}, {1, 3}, {1, 1, 1}}, {1, 257, 3});
    expect_row(add, dtype, {{7, 1, 1, 9}, {7, 5, 1, 1}, {1, 1, 11, 9}}, {7, 5, 11, 9});
  }
}

TEST(Elementwise, NothingComesOfNothing) {
  RealRow add{"Add", {}, 2, [](double x, double y, double) { return x + y; }};
  expect_row(add, DType::kF32, {{0}, {}}, {0});
  expect_row(add, DType::kF32, {{3, 0, 2}, {1, 1, 2}}, {3, 0, 2});
  expect_row(add, DType::kF16, {{0, 1}, {5}}, {0, 5});
  EXPECT_EQ(result_of("Relu", {Tensor::zeros(DType::kI8, {2, 0})}).extents(), (std::vector<int64_t>{2, 0}));
}

TEST(Elementwise, ExtentsThatDoNotFitAreNamed) {
  Tensor x = Tensor::zeros(DType::kF32, {2, 3}), y = Tensor::zeros(DType::kF32, {4});
  EXPECT_EQ(error_of("Add", {x, y}), "shapes [2, 3] and [4] do not broadcast: 3 against 4");
  EXPECT_EQ(error_of("Add", {x, *convert(x, DType::kI64)}),
            "add takes operands of one type, got f32 and i64");
  EXPECT_EQ(error_of("Exp", {*convert(x, DType::kI32)}), "input 0 cannot be i32");
  EXPECT_EQ(error_of("Add", {x}), "takes 2 inputs, got 1");
  EXPECT_THAT(error_of("Add", {*convert(x, DType::kI4), *convert(x, DType::kI4)}),
              HasSubstr("add takes numeric operands, got i4"));
}

// An integer row computed independently in 128 bits and then cut to the type.
struct IntegerRow {
  std::string op;
  Attributes attrs;
  int arity;
  std::function<__int128(__int128, __int128, int bits)> value;
};

__int128 floored_remainder(__int128 x, __int128 y) { return y == 0 ? 0 : ((x % y) + y) % y; }

std::vector<IntegerRow> integer_rows() {
  return {
      {"Add", {}, 2, [](__int128 x, __int128 y, int) { return x + y; }},
      {"Sub", {}, 2, [](__int128 x, __int128 y, int) { return x - y; }},
      {"Mul",
       {},
       2,
       [](__int128 x, __int128 y, int) {
         return static_cast<__int128>(static_cast<unsigned __int128>(x) * static_cast<unsigned __int128>(y));
       }},
      {"Div", {}, 2, [](__int128 x, __int128 y, int) { return y == 0 ? 0 : x / y; }},
      {"Mod", {}, 2, [](__int128 x, __int128 y, int) { return floored_remainder(x, y); }},
      {"Mod", {{"fmod", int64_t{1}}}, 2, [](__int128 x, __int128 y, int) { return y == 0 ? 0 : x % y; }},
      {"Neg", {}, 1, [](__int128 x, __int128, int) { return -x; }},
      {"Abs", {}, 1, [](__int128 x, __int128, int) { return x < 0 ? -x : x; }},
      {"Sign", {}, 1, [](__int128 x, __int128, int) -> __int128 { return x < 0 ? -1 : x > 0; }},
      {"Relu", {}, 1, [](__int128 x, __int128, int) { return x < 0 ? 0 : x; }},
      {"Max", {}, 2, [](__int128 x, __int128 y, int) { return x > y ? x : y; }},
      {"Min", {}, 2, [](__int128 x, __int128 y, int) { return x < y ? x : y; }},
      {"Clip", {}, 2, [](__int128 x, __int128 y, int) { return x < y ? y : x; }},
      {"BitwiseAnd", {}, 2, [](__int128 x, __int128 y, int) { return x & y; }},
      {"BitwiseOr", {}, 2, [](__int128 x, __int128 y, int) { return x | y; }},
      {"BitwiseXor", {}, 2, [](__int128 x, __int128 y, int) { return x ^ y; }},
      {"BitwiseNot", {}, 1, [](__int128 x, __int128, int) { return ~x; }},
      {"BitShift",
       {{"direction", std::string("LEFT")}},
       2,
       [](__int128 x, __int128 y, int bits) -> __int128 {
         return y < 0 || y >= bits ? 0 : static_cast<__int128>(static_cast<unsigned __int128>(x) << y);
       }},
      {"BitShift",
       {{"direction", std::string("RIGHT")}},
       2,
       [](__int128 x, __int128 y, int bits) -> __int128 {
         return y < 0 || y >= bits ? (x < 0 ? -1 : 0) : x >> y;
       }},
      {"Equal", {}, 2, [](__int128 x, __int128 y, int) -> __int128 { return x == y; }},
      {"Greater", {}, 2, [](__int128 x, __int128 y, int) -> __int128 { return x > y; }},
      {"GreaterOrEqual", {}, 2, [](__int128 x, __int128 y, int) -> __int128 { return x >= y; }},
      {"Less", {}, 2, [](__int128 x, __int128 y, int) -> __int128 { return x < y; }},
      {"LessOrEqual", {}, 2, [](__int128 x, __int128 y, int) -> __int128 { return x <= y; }},
      {"PRelu",
       {},
       2,
       [](__int128 x, __int128 y, int) {
         return x < 0 ? static_cast<__int128>(static_cast<unsigned __int128>(x) *
                                              static_cast<unsigned __int128>(y))
                      : x;
       }},
  };
}

// Each of a list of telling numbers with each.
template <class T>
std::pair<std::vector<T>, std::vector<T>> telling_pairs() {
  std::vector<T> numbers = {0,
                            1,
                            2,
                            3,
                            5,
                            7,
                            8,
                            31,
                            63,
                            64,
                            100,
                            std::numeric_limits<T>::max(),
                            std::numeric_limits<T>::min(),
                            static_cast<T>(-1),
                            static_cast<T>(-2),
                            static_cast<T>(-7),
                            static_cast<T>(std::numeric_limits<T>::max() / 2)};
  std::pair<std::vector<T>, std::vector<T>> pairs;
  for (T x : numbers) {
    for (T y : numbers) pairs.first.push_back(x), pairs.second.push_back(y);
  }
  return pairs;
}

template <class T>
void expect_integer_rows() {
  auto [xs, ys] = telling_pairs<T>();
  int64_t n = static_cast<int64_t>(xs.size());
  Tensor x = Tensor::from<T>({n}, std::span<const T>(xs)), y = Tensor::from<T>({n}, std::span<const T>(ys));
  for (const IntegerRow& row : integer_rows()) {
    Tensor result =
        result_of(row.op, row.arity == 1 ? std::vector<Tensor>{x} : std::vector<Tensor>{x, y}, row.attrs);
    ASSERT_TRUE(result.defined()) << row.op;
    for (size_t i = 0; i < xs.size(); ++i) {
      T expected = static_cast<T>(row.value(xs[i], ys[i], sizeof(T) * 8));
      T actual =
          result.dtype() == DType::kBool ? static_cast<T>(result.data<bool>()[i]) : result.data<T>()[i];
      EXPECT_EQ(+actual, +expected) << row.op << " of " << name_of(dtype_of<T>()) << " at " << +xs[i] << ", "
                                    << +ys[i];
    }
  }
}

TEST(Elementwise, IntegersWrapAndNeverTrap) {
  expect_integer_rows<int8_t>();
  expect_integer_rows<uint8_t>();
  expect_integer_rows<int16_t>();
  expect_integer_rows<uint16_t>();
  expect_integer_rows<int32_t>();
  expect_integer_rows<uint32_t>();
  expect_integer_rows<int64_t>();
  expect_integer_rows<uint64_t>();
}

TEST(Elementwise, PowersOfIntegersAreExact) {
  auto powers = [](Tensor x, Tensor y) { return result_of("Pow", {std::move(x), std::move(y)}); };
  EXPECT_THAT(powers(Tensor::of_ints(std::vector<int64_t>{3, -3, 2, -1, 1, 0, 5, 2}),
                     Tensor::of_ints(std::vector<int64_t>{39, 39, 63, -3, -9, 0, -1, 64}))
                  .ints(),
              ElementsAre(4052555153018976267, -4052555153018976267, std::numeric_limits<int64_t>::min(), -1,
                          1, 1, 0, 0));
  EXPECT_THAT(powers(Tensor::from<uint8_t>({3}, {255, 2, 7}), Tensor::scalar(1.0f)).ints(),
              ElementsAre(255, 2, 7));
  EXPECT_THAT(
      powers(Tensor::from<int32_t>({2}, {9, 2147483647}), Tensor::from<double>({2}, {0.5, 1.0})).ints(),
      ElementsAre(3, 2147483647));
  EXPECT_THAT(
      powers(Tensor::from<int64_t>({1}, {3}), Tensor::scalar<uint64_t>(std::numeric_limits<uint64_t>::max()))
          .ints(),
      ElementsAre(-6148914691236517205));  // the inverse of 3 modulo 2^64
  EXPECT_THAT(
      numbers_of(powers(Tensor::from<float>({3}, {1.5f, -2, 0}), Tensor::from<int32_t>({3}, {2, 3, 0}))),
      ElementsAre(2.25, -8, 1));
}

TEST(Elementwise, LogicOfBools) {
  Tensor x = Tensor::from<bool>({4}, {false, false, true, true}),
         y = Tensor::from<bool>({4}, {false, true, false, true});
  EXPECT_THAT(result_of("And", {x, y}).ints(), ElementsAre(0, 0, 0, 1));
  EXPECT_THAT(result_of("Or", {x, y}).ints(), ElementsAre(0, 1, 1, 1));
  EXPECT_THAT(result_of("Xor", {x, y}).ints(), ElementsAre(0, 1, 1, 0));
  EXPECT_THAT(result_of("Equal", {x, y}).ints(), ElementsAre(1, 0, 0, 1));
  EXPECT_THAT(result_of("Not", {x}).ints(), ElementsAre(1, 1, 0, 0));
  EXPECT_EQ(error_of("And", {x, Tensor::zeros(DType::kI8, {4})}), "input 1 cannot be i8");
}

TEST(Elementwise, SpecialNumbersFollowNumerics) {
  Tensor x = Tensor::from<double>({5}, {kNaN, kInfinity, -kInfinity, -0.0, 1});
  auto numbers = [&](std::string_view op, std::vector<Tensor> operands, const Attributes& attrs = {}) {
    return numbers_of(result_of(op, operands, attrs));
  };
  using testing::NanSensitiveDoubleEq;
  EXPECT_THAT(numbers("Max", {x, Tensor::scalar(0.0)}),
              ElementsAre(NanSensitiveDoubleEq(kNaN), kInfinity, 0, 0, 1));
  EXPECT_THAT(numbers("Max", {Tensor::scalar(0.0), x}),
              ElementsAre(NanSensitiveDoubleEq(kNaN), kInfinity, 0, 0, 1));
  EXPECT_THAT(numbers("Min", {x, Tensor::scalar(0.0)}),
              ElementsAre(NanSensitiveDoubleEq(kNaN), 0, -kInfinity, 0, 0));
  EXPECT_THAT(numbers("Min", {Tensor::scalar(0.0), x}),
              ElementsAre(NanSensitiveDoubleEq(kNaN), 0, -kInfinity, 0, 0));
  EXPECT_THAT(numbers("Relu", {x}), ElementsAre(NanSensitiveDoubleEq(kNaN), kInfinity, 0, 0, 1));
  EXPECT_THAT(numbers("Clip", {x, Tensor::scalar(-2.0), Tensor::scalar(2.0)}),
              ElementsAre(NanSensitiveDoubleEq(kNaN), 2, -2, 0, 1));
  EXPECT_THAT(numbers("Clip", {x, Tensor::scalar(3.0), Tensor::scalar(2.0)}),
              ElementsAre(NanSensitiveDoubleEq(kNaN), 2, 2, 2, 2));
  EXPECT_THAT(numbers("Sigmoid", {x}),
              ElementsAre(NanSensitiveDoubleEq(kNaN), 1, 0, 0.5, testing::DoubleNear(0.731, 1e-3)));
  EXPECT_THAT(numbers("Softplus", {Tensor::from<double>({3}, {800, -800, kInfinity})}),
              ElementsAre(800, 0, kInfinity));
  EXPECT_THAT(numbers("Elu", {x}), ElementsAre(NanSensitiveDoubleEq(kNaN), kInfinity, -1, 0, 1));
  EXPECT_THAT(numbers("IsNaN", {x}), ElementsAre(1, 0, 0, 0, 0));
  EXPECT_THAT(numbers("IsInf", {x}), ElementsAre(0, 1, 1, 0, 0));
  EXPECT_THAT(numbers("IsInf", {x}, {{"detect_negative", int64_t{0}}}), ElementsAre(0, 1, 0, 0, 0));
  EXPECT_THAT(numbers("IsInf", {x}, {{"detect_positive", int64_t{0}}}), ElementsAre(0, 0, 1, 0, 0));
  EXPECT_THAT(numbers("IsInf", {x}, {{"detect_positive", int64_t{0}}, {"detect_negative", int64_t{0}}}),
              ElementsAre(0, 0, 0, 0, 0));
  EXPECT_THAT(numbers("Round", {Tensor::from<float>({6}, {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 0.49f})}),
              ElementsAre(0, 2, 2, 0, -2, 0));
  EXPECT_THAT(numbers("Sign", {x}), ElementsAre(NanSensitiveDoubleEq(kNaN), 1, -1, 0, 1));
}

TEST(Elementwise, SixteenBitFloatsRoundOnceAtTheEnd) {
  Tensor one = Tensor::from<Half>({1}, {Half(1.0f)}), tiny = Tensor::from<Half>({1}, {Half(0.0004f)});
  // 1 + 0.0004 + 0.0004 is 1.0008, which rounds up to 1 + 2^-10; rounding in between would lose both.
  EXPECT_EQ(result_of("Sum", {one, tiny, tiny}).double_at(0), 1 + 0x1p-10);
  Tensor large = Tensor::from<Half>({1}, {Half(60000.0f)});
  EXPECT_EQ(result_of("Add", {large, large}).double_at(0), kInfinity);
}

TEST(Elementwise, WhereMovesEveryType) {
  Tensor condition = Tensor::from<bool>({2, 1}, {true, false});
  for (DType dtype : {DType::kF64, DType::kF16, DType::kBF16, DType::kI8, DType::kU16, DType::kI64,
                      DType::kBool, DType::kC64, DType::kC128, DType::kF8E5M2, DType::kI4}) {
    Tensor x = Tensor::zeros(dtype, {3}), y = Tensor::zeros(dtype, {2, 3});
    auto bytes = [](Tensor& t) {
      return std::span<uint8_t>(static_cast<uint8_t*>(t.mutable_raw()), static_cast<size_t>(t.bytes()));
    };
    for (uint8_t& byte : bytes(x)) byte = 1;
    Tensor result = result_of("Where", {condition, x, y});
    ASSERT_EQ(result.extents(), (std::vector<int64_t>{2, 3})) << name_of(dtype);
    for (size_t i = 0; i < bytes(result).size(); ++i)
      EXPECT_EQ(bytes(result)[i], i < bytes(result).size() / 2 ? 1 : 0) << name_of(dtype);
  }
  Tensor words = Tensor::from<std::string>({2}, {"a", "b"}), other = Tensor::from<std::string>({1}, {"c"});
  Tensor chosen = result_of("Where", {condition, words, other});
  EXPECT_THAT(chosen.data<std::string>(), ElementsAre("a", "b", "c", "c"));
  EXPECT_THAT(result_of("Equal", {words, Tensor::from<std::string>({2, 1}, {"b", "a"})}).ints(),
              ElementsAre(0, 1, 1, 0));
  EXPECT_EQ(error_of("Where", {condition, words, Tensor::zeros(DType::kF32, {1})}),
            "select takes operands of one type, got string and f32");
}

TEST(Elementwise, AbsentOperandsAreLeftOut) {
  Tensor x = Tensor::from<float>({3}, {-1, 2, 5});
  EXPECT_THAT(numbers_of(result_of("Clip", {x, Tensor(), Tensor::scalar(3.0f)})), ElementsAre(-1, 2, 3));
  EXPECT_THAT(numbers_of(result_of("Max", {x, Tensor(), Tensor::scalar(3.0f)})), ElementsAre(3, 3, 5));
  EXPECT_EQ(error_of("Max", {Tensor(), x}), "input 0 is required");
}

TEST(Elementwise, VeryManyOperandsAreAnError) {
  std::vector<Tensor> operands(1000, Tensor::scalar(1.0));
  EXPECT_EQ(result_of("Sum", operands).double_at(0), 1000);
  operands.resize(100'000, Tensor::scalar(1.0));
  EXPECT_EQ(error_of("Sum", operands), "100000 inputs, at most 1024 can be combined");
}

TEST(Elementwise, TypesAreInferredWithSymbols) {
  EXPECT_THAT(inferred("Add", {"f32[batch, 3]", "f32[3]"}), ElementsAre("f32[batch, 3]"));
  EXPECT_THAT(inferred("Add", {"f32[a]", "f32[b]"}), ElementsAre("f32[broadcast(a, b)]"));
  EXPECT_THAT(inferred("Less", {"i64[a]", "i64"}), ElementsAre("bool"));
  EXPECT_THAT(inferred("Pow", {"f16[a, 1]", "i64[5]"}), ElementsAre("f16[a, 5]"));
  EXPECT_THAT(inferred("Relu", {"undefined[2]"}), ElementsAre("undefined[2]"));
  EXPECT_THAT(inferred("And", {"undefined[2]", "bool[2]"}), ElementsAre("bool[2]"));
  EXPECT_THAT(inferred("BitwiseNot", {"undefined"}), ElementsAre("undefined"));
  EXPECT_THAT(inferred("Where", {"undefined", "f32[4]", "undefined[4]"}), ElementsAre("f32"));
}

// Every row of ops.def with a body stands in one of the tables above, or is tested on its own.
TEST(Elementwise, NoRowIsForgotten) {
  std::set<std::string_view> tested = {"Where", "And", "Or", "Xor", "Not"};
  std::vector<RealRow> real = real_rows();
  std::vector<IntegerRow> integer = integer_rows();
  for (const RealRow& row : real) tested.insert(row.op);
  for (const IntegerRow& row : integer) tested.insert(row.op);
  for (const OpDef& op : all_ops()) {
    EXPECT_TRUE(!op.body || tested.contains(op.name)) << op.name;
  }
}

}  // namespace
}  // namespace gannet::test
