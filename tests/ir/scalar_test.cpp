#include "ir/scalar.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "ir/base/random.h"
#include "ir/dim_scalar.h"

namespace gannet {
namespace {

const ScalarExpr x = ScalarExpr::arg(0);
const ScalarExpr y = ScalarExpr::arg(1);

ScalarExpr parsed(std::string_view text) {
  Result<ScalarExpr> expr = parse_scalar(text);
  EXPECT_TRUE(expr.ok()) << text << ": " << (expr.ok() ? "" : expr.error().message);
  return expr.ok() ? *expr : ScalarExpr(0);
}

std::string error_of(std::string_view text) {
  Result<ScalarExpr> expr = parse_scalar(text);
  return expr.ok() ? "" : expr.error().message;
}

TEST(Scalar, PrintsAsMathematics) {
  EXPECT_EQ(to_string(select(x < 0, 0.01 * x, x)), "select(x0 < 0, 0.01 * x0, x0)");
  EXPECT_EQ(to_string((x + y) * x - (y - x)), "(x0 + x1) * x0 - (x1 - x0)");
  EXPECT_EQ(to_string(-x * y), "-x0 * x1");
  EXPECT_EQ(to_string(-(x * y)), "-(x0 * x1)");
  EXPECT_EQ(to_string(-ScalarExpr(1)), "-(1)");
  EXPECT_EQ(to_string(x - -1), "x0 - (-1)");
  EXPECT_EQ(to_string((!(x == y) && x < y) || x > y), "!(x0 == x1) && x0 < x1 || x1 < x0");
  EXPECT_EQ(to_string(cast(scalar::max(x, 1), DType::kF16)), "cast(max(x0, 1), f16)");
  EXPECT_EQ(to_string(ScalarExpr(-0.0)), "-0.0");
  EXPECT_EQ(to_string(ScalarExpr(9007199254740994.0)), "9007199254740994.0");
}

TEST(Scalar, LiteralsKeepTheirValue) {
  EXPECT_EQ(ScalarExpr::integer(std::numeric_limits<int64_t>::max())->integer,
            std::numeric_limits<int64_t>::max());
  EXPECT_TRUE(ScalarExpr(2.0)->is_integer);
  EXPECT_FALSE(ScalarExpr(-0.0)->is_integer);
  EXPECT_FALSE(ScalarExpr(0x1p60)->is_integer);
  EXPECT_TRUE(same_expression(ScalarExpr(2.0), ScalarExpr::integer(2)));
  EXPECT_FALSE(same_expression(ScalarExpr(2.5), ScalarExpr(2)));
  EXPECT_TRUE(same_expression(ScalarExpr(std::nan("")), ScalarExpr(std::nan(""))));
}

// A random expression of operators, functions and literals; types do not matter to text.
ScalarExpr random_expression(Random& random, int depth) {
  constexpr double kNumbers[] = {
      0, 1, -1, 0.1, -2.5, 1e300, -1e-300, 0x1p60, -0.0, 1e16, 123456789012345680.0};
  uint64_t choice = random.below(depth > 0 ? 12 : 4);
  if (choice < 2) return ScalarExpr::arg(static_cast<int>(random.below(12)));
  if (choice == 2) {
    uint64_t which = random.below(std::size(kNumbers) + 4);
    if (which < std::size(kNumbers)) return kNumbers[which];
    if (which == std::size(kNumbers)) return std::nan("");
    if (which == std::size(kNumbers) + 1) return HUGE_VAL;
    if (which == std::size(kNumbers) + 2) return -HUGE_VAL;
    return ScalarExpr::integer(std::numeric_limits<int64_t>::min());
  }
  if (choice == 3) return static_cast<int>(random.below(2000)) - 1000;
  constexpr DType kTypes[] = {DType::kF32, DType::kI64, DType::kBool, DType::kF8E4M3FNUZ};
  while (true) {
    auto op = static_cast<ScalarOp>(random.below(static_cast<uint64_t>(ScalarOp::kShiftRight) + 1));
    if (arity_of(op) == 0) continue;
    std::vector<ScalarExpr> args;
    for (int i = 0; i < arity_of(op); ++i) args.push_back(random_expression(random, depth - 1));
    return ScalarExpr::make(op, args, op == ScalarOp::kCast ? kTypes[random.below(4)] : DType::kUndefined);
  }
}

TEST(Scalar, RandomExpressionsReadBack) {
  Random random(1);
  for (int i = 0; i < 3000; ++i) {
    ScalarExpr expr = random_expression(random, 6);
    std::string text = to_string(expr);
    ScalarExpr again = parsed(text);
    ASSERT_EQ(to_string(again), text);
    ASSERT_TRUE(same_expression(again, expr)) << text;
  }
}

TEST(Scalar, MutatedTextNeverCrashes) {
  Random random(2);
  constexpr std::string_view kCharacters = "x0123()-+*/<=!&|., selctinfa\"e\n\xff";
  for (int i = 0; i < 20000; ++i) {
    std::string text = to_string(random_expression(random, 3));
    for (uint64_t n = random.below(4); n > 0; --n)
      text[random.below(text.size())] = kCharacters[random.below(kCharacters.size())];
    text.resize(text.size() - random.below(text.size()));
    Result<ScalarExpr> expr = parse_scalar(text);
    EXPECT_TRUE(!expr.ok() || parse_scalar(to_string(*expr)).ok()) << text;
  }
}

TEST(Scalar, ErrorsSayWhatIsExpectedWhere) {
  EXPECT_EQ(error_of("x0 +"), "scalar expression 'x0 +': expected a function at column 5");
  EXPECT_EQ(error_of("max(x0)"), "scalar expression 'max(x0)': expected ',' at column 7");
  EXPECT_EQ(error_of("(x0"), "scalar expression '(x0': expected ')' at column 4");
  EXPECT_EQ(error_of("x0 x1"), "scalar expression 'x0 x1': expected an operator or the end at column 4");
  EXPECT_NE(error_of("x99999999999"), "");
  EXPECT_NE(error_of("1e999"), "");
  EXPECT_NE(error_of("cast(x0, f31)"), "");
}

TEST(Scalar, DeepTextIsAnError) {
  std::string chain = "x0", nest;
  for (int i = 0; i < 100000; ++i) chain += " + x0", nest += "(";
  EXPECT_NE(error_of(chain).find("fewer operators in a row"), std::string::npos);
  EXPECT_NE(error_of(nest).find("less nesting"), std::string::npos);
  EXPECT_NE(error_of(std::string(100000, '-') + "x0"), "");
  EXPECT_NE(error_of(std::string(100000, '!') + "x0"), "");
  EXPECT_EQ(error_of(chain.substr(0, 2 + 5 * 1000)), "");
}

TEST(Scalar, TypesFollowTheRules) {
  auto type = [](const ScalarExpr& expr, std::vector<DType> operands) {
    Result<DType> result = result_type(expr, operands);
    return result.ok() ? std::string(name_of(*result)) : result.error().message;
  };
  EXPECT_EQ(type(x + 1, {DType::kI8}), "i8");
  EXPECT_EQ(type(x + y, {DType::kF32, DType::kF64}), "add takes operands of one type, got f32 and f64");
  EXPECT_EQ(type(scalar::pow(x, y), {DType::kF32, DType::kI64}), "f32");
  EXPECT_EQ(type(scalar::pow(2.0, y), {DType::kF32, DType::kF64}), "f64");
  EXPECT_EQ(type(scalar::pow(x, y), {DType::kF32, DType::kBool}), "pow takes numeric operands, got bool");
  EXPECT_EQ(type(x < y, {DType::kF16, DType::kF16}), "bool");
  EXPECT_EQ(type(scalar::exp(x), {DType::kI32}), "exp takes floating point operands, got i32");
  EXPECT_EQ(type(scalar::bit_and(x, y), {DType::kF32, DType::kF32}),
            "bit_and takes integer operands, got f32");
  EXPECT_EQ(type(x && y, {DType::kBool, DType::kBool}), "bool");
  EXPECT_EQ(type(cast(x, DType::kI64) + 1, {DType::kF32}), "i64");
  EXPECT_EQ(type(ScalarExpr(1) + 2, {}), "undefined");
}

TEST(Scalar, SubstitutionAndOperandsWorkOnSharedParts) {
  ScalarExpr shared = x;
  for (int i = 0; i < 100; ++i) shared = shared * shared;  // 2^100 as a tree
  EXPECT_EQ(operand_count(shared), 1);
  std::vector<ScalarExpr> replacements = {y};
  EXPECT_EQ(operand_count(substitute(shared, replacements)), 2);
  EXPECT_EQ(operand_count(derivative(shared, 0, ScalarExpr::arg(2))), 3);
  std::vector<DType> types(2, DType::kF32);
  EXPECT_TRUE(result_type(shared, types).ok());
  EXPECT_EQ(to_string(derivative(x * y, 2, 1)), "0");
  EXPECT_EQ(to_string(derivative(x * y, 1, ScalarExpr::arg(2))), "x2 * x0");
  EXPECT_EQ(to_string(derivative(scalar::floor(x), 0, ScalarExpr::arg(2))), "0");
}

std::string over_dims(const ScalarExpr& expr, const std::vector<Dim>& operands) {
  std::optional<Dim> value = evaluate_over_dims(expr, operands);
  return value ? value->to_string() : "unknown";
}

TEST(DimScalar, ShapeArithmeticStaysSymbolic) {
  Dim s = Dim::symbol("s");
  EXPECT_EQ(over_dims(x * 2 + y, {s, Dim(1)}), "2*s+1");
  EXPECT_EQ(over_dims(x / 2, {s}), "floordiv(s, 2)");
  EXPECT_EQ(over_dims(x / 2, {s - 5}), "unknown");
  EXPECT_EQ(over_dims(x / y, {Dim(-7), Dim(2)}), "-3");
  EXPECT_EQ(over_dims(x / y, {Dim(std::numeric_limits<int64_t>::min()), Dim(-1)}), "unknown");
  EXPECT_EQ(over_dims(x / y, {Dim(1), Dim(0)}), "unknown");
  EXPECT_EQ(over_dims(scalar::floor_mod(x, 4), {s}), "mod(s, 4)");
  EXPECT_EQ(over_dims(scalar::max(x, 0), {s}), "s");
  EXPECT_EQ(over_dims(x < y, {s, Dim(0)}), "0");
  EXPECT_EQ(over_dims(x <= y, {Dim(0), s}), "1");
  EXPECT_EQ(over_dims(x == y, {s, s}), "1");
  EXPECT_EQ(over_dims(x == y, {s, Dim(-1)}), "0");
  EXPECT_EQ(over_dims(x == y, {s, Dim(3)}), "unknown");
  EXPECT_EQ(over_dims(select(x == -1, y, x), {s, Dim(8)}), "s");
  EXPECT_EQ(over_dims(x + 0.5, {s}), "unknown");
}

}  // namespace
}  // namespace gannet
