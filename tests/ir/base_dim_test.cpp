#include "ir/base/dim.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace gannet {
namespace {

constexpr int64_t kLargest = std::numeric_limits<int64_t>::max();
constexpr int64_t kSmallest = std::numeric_limits<int64_t>::min();

const Dim s = Dim::symbol("s");
const Dim h = Dim::symbol("h");
const Dim b = Dim::symbol("b");

Dim parsed(std::string_view text) {
  Result<Dim> dim = parse_dim(text);
  EXPECT_TRUE(dim.ok()) << text << ": " << (dim.ok() ? "" : dim.error().message);
  return dim.ok() ? *dim : Dim(-12345);
}

TEST(Dim, ConstantsFoldWithFloorSemantics) {
  EXPECT_EQ(floordiv(Dim(-7), Dim(2)), Dim(-4));
  EXPECT_EQ(floordiv(Dim(7), Dim(-2)), Dim(-4));
  EXPECT_EQ(ceildiv(Dim(-7), Dim(2)), Dim(-3));
  EXPECT_EQ(ceildiv(Dim(7), Dim(2)), Dim(4));
  EXPECT_EQ(ceildiv(Dim(7), Dim(-2)), Dim(-3));
  EXPECT_EQ(mod(Dim(-7), Dim(3)), Dim(2));
  EXPECT_EQ(mod(Dim(7), Dim(-3)), Dim(-2));
  EXPECT_EQ(mod(Dim(-7), Dim(-3)), Dim(-1));
  EXPECT_EQ(min(Dim(3), Dim(5)), Dim(3));
  EXPECT_EQ(max(Dim(3), Dim(5)), Dim(5));
}

TEST(Dim, SumsAndProductsAreCanonical) {
  EXPECT_EQ(s + h, h + s);
  EXPECT_EQ((s + 1) * (h + 2), s * h + h + 2 * s + 2);
  EXPECT_EQ(s * h * b, b * s * h);
  EXPECT_EQ(s - s, Dim(0));
  EXPECT_TRUE((s + 1 - s).is_constant(1));
  EXPECT_EQ((s + h) * (s - h), s * s - h * h);
  EXPECT_NE(s, h);
  EXPECT_EQ(Dim::symbol("s"), s);
}

TEST(Dim, DivisionSplitsOffWhatTheDivisorDivides) {
  EXPECT_EQ(floordiv(2 * s + 4, 2), s + 2);
  EXPECT_EQ(floordiv(16 * h, 16), h);
  EXPECT_EQ(floordiv(s * 12, s), Dim(12));
  EXPECT_EQ(floordiv(s * h, h), s);
  EXPECT_EQ(floordiv(s, s), Dim(1));
  EXPECT_EQ(floordiv(s * h + b, h), s + floordiv(b, h));
  EXPECT_EQ(floordiv(2 * s * h, 2 * h), s);
  EXPECT_EQ(floordiv((2 * s + 1) * h * 3, 2 * s + 1), 3 * h);
  EXPECT_EQ(floordiv(s * s - h * h, s + h), s - h);
  EXPECT_EQ(floordiv(6 * s + 3, 9), floordiv(2 * s + 1, 3));
  EXPECT_EQ(floordiv(h - 1, 2) + 1, floordiv(h + 1, 2));
  EXPECT_EQ(ceildiv(h, 2), floordiv(h + 1, 2));
  EXPECT_EQ(floordiv(s, 1), s);
  EXPECT_EQ(floordiv(s, -1), Dim(0) - s);
  EXPECT_EQ(floordiv(Dim(0), s), Dim(0));
  EXPECT_EQ(floordiv(s * h, s * b), floordiv(h, b));
}

TEST(Dim, NestedDivisionsCombine) {
  EXPECT_EQ(floordiv(floordiv(s, 2), 2), floordiv(s, 4));
  EXPECT_EQ(floordiv(floordiv(s, 2) + 3, 5), floordiv(s + 6, 10));
  EXPECT_EQ(floordiv(mod(s, 4), 4), Dim(0));
}

TEST(Dim, ModOfMultiplesIsZero) {
  EXPECT_EQ(mod(4 * s, 4), Dim(0));
  EXPECT_EQ(mod(4 * s + 6, 4), Dim(2));
  EXPECT_EQ(mod(s * h, s), Dim(0));
  EXPECT_EQ(mod(s, s), Dim(0));
  EXPECT_EQ(mod(s, 1), Dim(0));
  EXPECT_EQ(mod(mod(s, 4), 8), mod(s, 4));
  EXPECT_EQ(mod(2 * s, 4), 2 * mod(s, 2));
}

TEST(Dim, MinAndMaxFoldByBounds) {
  EXPECT_EQ(max(s, 0), s);
  EXPECT_EQ(max(s, 1).to_string(), "max(1, s)");
  EXPECT_EQ(min(s, 0), Dim(0));
  EXPECT_EQ(max(s + 1, s), s + 1);
  EXPECT_EQ(min(s + 1, s), s);
  EXPECT_EQ(max(max(s, h), b), max(b, max(h, s)));
  EXPECT_EQ(max(s, s), s);
  EXPECT_EQ(min(mod(s, 8), 7), mod(s, 8));
}

TEST(Dim, BroadcastFollowsOnnx) {
  EXPECT_EQ(broadcast(1, s), s);
  EXPECT_EQ(broadcast(s, 1), s);
  EXPECT_EQ(broadcast(s, s), s);
  EXPECT_EQ(broadcast(s, 7), Dim(7));
  EXPECT_EQ(broadcast(7, s), Dim(7));
  EXPECT_EQ(broadcast(0, s), Dim(0));
  EXPECT_EQ(broadcast(s, h), broadcast(h, s));
  EXPECT_EQ(broadcast(broadcast(s, h), s), broadcast(h, s));
  EXPECT_EQ(broadcast(s + 2, h), s + 2);
  EXPECT_EQ(*broadcast(s, h).evaluate({{"s", 1}, {"h", 5}}), 5);
  EXPECT_EQ(*broadcast(s, h).evaluate({{"s", 5}, {"h", 1}}), 5);
}

TEST(Dim, PrintsAndReadsBack) {
  EXPECT_EQ((2 * Dim::symbol("seq") + 1).to_string(), "2*seq+1");
  EXPECT_EQ(floordiv(h + 1, 2).to_string(), "floordiv(h+1, 2)");
  EXPECT_EQ((h - s - 3).to_string(), "h-s-3");
  EXPECT_EQ((Dim(0) - s).to_string(), "-s");
  EXPECT_EQ((s * s * 3).to_string(), "3*s*s");
  EXPECT_EQ(Dim::symbol("a b\"c\\\n").to_string(), "\"a b\\\"c\\\\\\n\"");
  EXPECT_EQ(Dim::symbol("12").to_string(), "\"12\"");
  EXPECT_EQ(Dim::symbol("").to_string(), "\"\"");
  EXPECT_EQ(parsed("\"a b\\\"c\\\\\\n\""), Dim::symbol("a b\"c\\\n"));
  EXPECT_EQ(parsed(" 2 * seq + 1 "), 2 * Dim::symbol("seq") + 1);
  EXPECT_EQ(parsed("-(s - 3)*2"), 6 - 2 * s);
  EXPECT_EQ(parsed("-9223372036854775808"), Dim(kSmallest));
  EXPECT_EQ(parsed("s-9223372036854775808").to_string(), "s-9223372036854775808");
  EXPECT_EQ(parsed("max(s, h, 4)"), max(s, max(h, 4)));
  EXPECT_EQ(to_string(std::span<const Dim>(Shape{b, 3, 224})), "[b, 3, 224]");
}

TEST(Dim, RefusesWhatIsNotADimension) {
  for (const char* text :
       {"", "2*", "s s", "(s", "s)", "floordiv(s)", "floordiv(s, 1, 2)", "sin(s)", "\"s", "+", "3.5",
        "99999999999999999999", "min(s)", "oversized(s)", "s+", "mod(s,)", "*s", "@"}) {
    EXPECT_FALSE(parse_dim(text).ok()) << text;
  }
  EXPECT_EQ(parse_dim("2*").error().message, "'2*' is not a dimension: expected an operand at character 3");
}

TEST(Dim, ParserBoundsNestingAndLength) {
  EXPECT_FALSE(parse_dim(std::string(100'000, '(')).ok());
  std::string nested, chain = "s";
  for (int i = 0; i < 100'000; ++i) nested += "min(s,";
  for (int i = 0; i < 100'000; ++i) chain += "*s";
  EXPECT_FALSE(parse_dim(nested).ok());
  EXPECT_FALSE(parse_dim(chain).ok());
  EXPECT_TRUE(parse_dim(std::string(100'000, '-') + "s").ok());
}

TEST(Dim, OverflowStaysOpaqueAndIsAnErrorWhenEvaluated) {
  const Dim cases[] = {Dim(kLargest) + 1,
                       Dim(kLargest) * 2,
                       Dim(kSmallest) - 1,
                       Dim(0) - Dim(kSmallest),
                       floordiv(Dim(kSmallest), -1),
                       Dim(kLargest) * s + s,
                       (Dim(kLargest) + s) * 2,
                       element_count(Shape{kLargest, s, 2})};
  for (const Dim& dim : cases) {
    EXPECT_FALSE(dim.is_constant()) << dim.to_string();
    EXPECT_FALSE(dim.evaluate({{"s", kLargest}}).ok()) << dim.to_string();
    EXPECT_EQ(parsed(dim.to_string()), dim);
  }
  EXPECT_EQ(*(Dim(kLargest) * s + s).evaluate({{"s", 0}}), 0);
  EXPECT_EQ(mod(Dim(kSmallest), -1), Dim(0));
  EXPECT_EQ(floordiv(Dim(kSmallest) + s, 3), floordiv(s + 1, 3) - 3074457345618258603);
}

TEST(Dim, DivisionByZeroIsAnErrorWhenEvaluated) {
  for (const Dim& dim : {floordiv(s, 0), ceildiv(s, 0), mod(s, 0), floordiv(Dim(4), 0)}) {
    EXPECT_EQ(dim.evaluate({{"s", 4}}).error().message, "a dimension divides 4 by zero");
    EXPECT_EQ(parsed(dim.to_string()), dim);
  }
  EXPECT_FALSE(floordiv(s, h).evaluate({{"s", 4}, {"h", 0}}).ok());
}

TEST(Dim, EvaluateNamesTheSymbolWithoutValue) {
  EXPECT_EQ((s + h).evaluate({{"s", 1}}).error().message, "dimension 'h' has no value");
  EXPECT_EQ(*evaluate(Shape{s, 2 * s, 7}, {{"s", 3}}), (std::vector<int64_t>{3, 6, 7}));
}

TEST(Dim, SubstituteRebuildsTheCanonicalForm) {
  const auto halve = [](const std::string& name) -> std::optional<Dim> {
    if (name == "s") return 2 * Dim::symbol("t");
    return std::nullopt;
  };
  EXPECT_EQ((floordiv(s, 2) + h).substitute(halve), Dim::symbol("t") + h);
  EXPECT_EQ(max(s, 5).substitute([](const std::string&) { return std::optional<Dim>(9); }), Dim(9));
}

TEST(Dim, CollectsSymbolsSortedAndOnce) {
  std::vector<std::string> names = {"z"};
  (floordiv(s, h) + s * b + 1).collect_symbols(names);
  EXPECT_EQ(names, (std::vector<std::string>{"b", "h", "s", "z"}));
}

TEST(Dim, Bounds) {
  EXPECT_EQ(s.lower_bound(), 0);
  EXPECT_EQ(s.upper_bound(), std::nullopt);
  EXPECT_EQ((2 * s + 3).lower_bound(), 3);
  EXPECT_EQ((3 - s).upper_bound(), 3);
  EXPECT_EQ((3 - s).lower_bound(), std::nullopt);
  EXPECT_EQ(mod(s, 7).upper_bound(), 6);
  EXPECT_EQ(min(s, 9).upper_bound(), 9);
  EXPECT_EQ(max(s - 4, 2).lower_bound(), 2);
  EXPECT_EQ(floordiv(s + 9, 4).lower_bound(), 2);
}

TEST(Dim, LongExpressionsStayBounded) {
  Dim product = 1, sum = 0, nested = s, power = s;
  for (int i = 0; i < 300; ++i) product = product * (Dim::symbol("x" + std::to_string(i)) + i);
  for (int i = 0; i < 2'500; ++i) sum = sum + Dim::symbol("x" + std::to_string(i));
  for (int i = 0; i < 1'000; ++i) nested = floordiv(nested + i, h + i);
  for (int i = 0; i < 40; ++i) power = power * power;
  for (const Dim& dim : {product, sum, nested, power}) {
    EXPECT_LT(dim.to_string().size(), 100'000u);
    EXPECT_EQ(parsed(dim.to_string()), dim);
  }
  EXPECT_FALSE(sum == sum + s);
}

TEST(Dim, SymbolName) {
  EXPECT_EQ(s.symbol_name(), "s");
  EXPECT_EQ((s + 1).symbol_name(), std::nullopt);
  EXPECT_EQ(Dim(3).symbol_name(), std::nullopt);
}

// A random expression, built twice: as a Dim, and evaluated with plain integers.
class RandomExpression {
 public:
  explicit RandomExpression(uint32_t seed) : random_(seed) {
    for (int i = 0; i < 3; ++i) values_["xyz" + std::to_string(i)] = pick(1, 9);
  }

  const SymbolValues& values() const { return values_; }

  // Nothing where the plain value divides by zero.
  std::pair<Dim, std::optional<int64_t>> make(int depth) {
    if (depth == 0 || pick(0, 5) == 0) return leaf();
    const auto [a, x] = make(depth - 1);
    const auto [c, y] = make(depth - 1);
    const int op = pick(0, 7);
    const std::optional<int64_t> value = x && y ? apply(op, *x, *y) : std::nullopt;
    switch (op) {
      case 0:
        return {a + c, value};
      case 1:
        return {a - c, value};
      case 2:
        return {a * c, value};
      case 3:
        return {floordiv(a, c), value};
      case 4:
        return {ceildiv(a, c), value};
      case 5:
        return {mod(a, c), value};
      case 6:
        return {min(a, c), value};
      default:
        return {max(a, c), value};
    }
  }

 private:
  int pick(int low, int high) {
    return low + static_cast<int>(random_() % static_cast<uint32_t>(high - low + 1));
  }

  std::pair<Dim, std::optional<int64_t>> leaf() {
    if (pick(0, 2) == 0) {
      const int value = pick(-6, 6);
      return {Dim(value), value};
    }
    const std::string name = "xyz" + std::to_string(pick(0, 2));
    return {Dim::symbol(name), values_[name]};
  }

  static std::optional<int64_t> apply(int op, int64_t x, int64_t y) {
    if (op >= 3 && op <= 5 && y == 0) return std::nullopt;
    const auto floor_of = [](int64_t p, int64_t q) {
      int64_t quotient = p / q;
      while ((quotient * q > p) == (q > 0) && quotient * q != p) --quotient;
      return quotient;
    };
    switch (op) {
      case 0:
        return x + y;
      case 1:
        return x - y;
      case 2:
        return x * y;
      case 3:
        return floor_of(x, y);
      case 4:
        return -floor_of(-x, y);
      case 5:
        return x - floor_of(x, y) * y;
      case 6:
        return std::min(x, y);
      default:
        return std::max(x, y);
    }
  }

  std::mt19937 random_;
  SymbolValues values_;
};

TEST(Dim, RandomExpressionsKeepTheirValueTextAndBounds) {
  int evaluated = 0;
  for (uint32_t seed = 0; seed < 20'000; ++seed) {
    RandomExpression random(seed);
    const auto [dim, value] = random.make(4);
    const std::string text = dim.to_string();
    ASSERT_EQ(parsed(text), dim) << text;
    ASSERT_EQ(parsed(text).to_string(), text);
    if (!value) continue;  // the algebra may simplify a division by zero away
    ++evaluated;
    const Result<int64_t> result = dim.evaluate(random.values());
    ASSERT_TRUE(result.ok()) << text << " should be " << *value << ": " << result.error().message;
    ASSERT_EQ(*result, *value) << text << ", seed " << seed;
    ASSERT_LE(dim.lower_bound().value_or(*value), *value) << text;
    ASSERT_GE(dim.upper_bound().value_or(*value), *value) << text;
    const Dim constant =
        dim.substitute([&](const std::string& name) { return Dim(random.values().at(name)); });
    ASSERT_TRUE(constant.is_constant(*value)) << text << ": " << constant.to_string();
  }
  EXPECT_GT(evaluated, 10'000);
}

TEST(Dim, BroadcastAgainstItselfCutOff) {
  Dim seq = Dim::symbol("seq");
  EXPECT_EQ(broadcast(seq, min(seq, 512)), seq);
  EXPECT_EQ(broadcast(min(seq, 512), seq), seq);
  // Cut off at 1 it may be a repeated row.
  EXPECT_NE(broadcast(seq, min(seq, 1)), Dim(1));
  EXPECT_NE(broadcast(seq, min(Dim::symbol("other"), 512)), seq);
}

}  // namespace
}  // namespace gannet
