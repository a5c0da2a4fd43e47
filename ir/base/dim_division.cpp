#include <algorithm>
#include <cstdlib>
#include <limits>
#include <numeric>

#include "ir/base/checked.h"
#include "ir/base/dim_expr.h"

// Every rule rests on (q * b + r) / b = q + r / b with the rounding applied to r / b alone, which holds for
// floor and ceiling and either sign of b. A divisor that contains symbols is taken to be other than 0: where
// it is 0 the model divides by zero, or an extent by itself, which counts as 1.
namespace gannet {
namespace {

using Kind = DimAtom::Kind;

// The product `a / b`; nothing where b does not divide a.
std::optional<std::vector<DimFactor>> divide_factors(const std::vector<DimFactor>& a,
                                                     const std::vector<DimFactor>& b) {
  std::vector<DimFactor> quotient;
  size_t j = 0;
  for (const DimFactor& factor : a) {
    int power = factor.power;
    if (j < b.size() && DimAlgebra::compare(*factor.atom, *b[j].atom) == 0) power -= b[j++].power;
    if (power < 0) return std::nullopt;
    if (power > 0) quotient.push_back({factor.atom, power});
  }
  if (j < b.size()) return std::nullopt;
  return quotient;
}

std::optional<DimTerm> divide_term(const DimTerm& a, const DimTerm& b) {
  if (b.coefficient == -1 && a.coefficient == std::numeric_limits<int64_t>::min()) return std::nullopt;
  if (a.coefficient % b.coefficient != 0) return std::nullopt;
  auto factors = divide_factors(a.factors, b.factors);
  if (!factors) return std::nullopt;
  return DimTerm{a.coefficient / b.coefficient, std::move(*factors)};
}

// a / b where that leaves nothing over (long division by the leading term).
std::optional<DimTerms> divide_exactly(DimTerms a, const DimTerms& b) {
  constexpr int kMaxSteps = 256;
  DimTerms quotient;
  for (int step = 0; !a.empty(); ++step) {
    auto term = divide_term(a.front(), b.front());
    if (!term || step == kMaxSteps || term->coefficient == std::numeric_limits<int64_t>::min())
      return std::nullopt;
    const auto product = DimAlgebra::multiply(b, DimTerm{-term->coefficient, term->factors});
    if (!product) return std::nullopt;
    auto rest = DimAlgebra::add(a, *product);
    if (!rest) return std::nullopt;
    a = std::move(*rest);
    quotient.push_back(std::move(*term));
  }
  return quotient;
}

std::vector<DimFactor> common_factors(const std::vector<DimFactor>& a, const std::vector<DimFactor>& b) {
  std::vector<DimFactor> common;
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    const int order = DimAlgebra::compare(*a[i].atom, *b[j].atom);
    if (order == 0) common.push_back({a[i].atom, std::min(a[i].power, b[j].power)});
    i += order <= 0;
    j += order >= 0;
  }
  return common;
}

// The largest product that divides every term of both.
DimTerm common_divisor(const DimTerms& a, const DimTerms& b) {
  DimTerm common{0, b.front().factors};
  for (const DimTerms* terms : {&a, &b}) {
    for (const DimTerm& term : *terms) {
      // INT64_MIN has no positive counterpart; what divides its half divides it.
      const int64_t coefficient =
          term.coefficient == std::numeric_limits<int64_t>::min() ? term.coefficient / 2 : term.coefficient;
      common.coefficient = std::gcd(common.coefficient, coefficient);
      common.factors = common_factors(common.factors, term.factors);
    }
  }
  return common;
}

DimTerms divide_all(const DimTerms& a, const DimTerm& b) {
  DimTerms quotient;
  for (const DimTerm& term : a) {
    auto divided = divide_term(term, b);
    CHECK(divided, "a common divisor divides each term");
    quotient.push_back(std::move(*divided));
  }
  return quotient;
}

struct Split {
  DimTerms quotient, rest;
};

// The constant keeps its residue in [0, k); other coefficients keep their sign, for the sake of bounds.
Split split_by_integer(const DimTerms& terms, int64_t k) {
  Split split;
  for (const DimTerm& term : terms) {
    const bool is_constant = term.factors.empty();
    const int64_t quotient = is_constant ? floor_quotient(term.coefficient, k) : term.coefficient / k;
    const int64_t rest = is_constant ? floor_remainder(term.coefficient, k) : term.coefficient % k;
    if (quotient != 0) split.quotient.push_back({quotient, term.factors});
    if (rest != 0) split.rest.push_back({rest, term.factors});
  }
  return split;
}

// Terms of a that the product b divides, and the others.
Split split_by_term(const DimTerms& terms, const DimTerm& b) {
  Split split;
  for (const DimTerm& term : terms) {
    if (auto quotient = divide_term(term, b))
      split.quotient.push_back(std::move(*quotient));
    else
      split.rest.push_back(term);
  }
  return split;
}

int64_t divisor_of_coefficients(const DimTerms& terms, int64_t k) {
  for (const DimTerm& term : terms) {
    if (!term.factors.empty()) k = std::gcd(k, term.coefficient);
  }
  return k;
}

// (g * x + c) / g rounded down, term by term; g divides all coefficients but the constant.
Dim reduce(const DimTerms& terms, int64_t g) {
  DimTerms reduced;
  for (const DimTerm& term : terms) {
    const int64_t quotient = floor_quotient(term.coefficient, g);
    if (quotient != 0) reduced.push_back({quotient, term.factors});
  }
  return DimAlgebra::from_terms(std::move(reduced));
}

bool lies_within(const Dim& dim, int64_t low, int64_t high) {
  const DimInterval bounds = interval(dim);
  return bounds.low && bounds.high && *bounds.low >= low && *bounds.high <= high;
}

// floordiv(floordiv(x, a) + c, k) = floordiv(x + a * c, a * k) for positive a and k.
std::optional<Dim> combine_nested(const Dim& dim, int64_t k) {
  const DimTerms terms = DimAlgebra::terms(dim);
  if (terms.empty() || terms.size() > 2 || (terms.size() == 2 && !terms[1].factors.empty()))
    return std::nullopt;
  const DimAtom* inner = DimAlgebra::atom(DimAlgebra::from_terms({terms[0]}));
  if (!inner || inner->kind != Kind::kFloorDiv || !inner->arguments[1].is_constant()) return std::nullopt;
  const int64_t a = inner->arguments[1].constant();
  const auto shift = checked_mul(a, terms.size() == 2 ? terms[1].coefficient : 0);
  const auto divisor = checked_mul(a, k);
  if (a <= 0 || !shift || !divisor) return std::nullopt;
  return floordiv(inner->arguments[0] + Dim(*shift), Dim(*divisor));
}

// k >= 2
Dim floor_by_integer(const Dim& a, int64_t k) {
  Split split = split_by_integer(DimAlgebra::terms(a), k);
  Dim quotient = DimAlgebra::from_terms(std::move(split.quotient));
  const int64_t g = divisor_of_coefficients(split.rest, k);
  const Dim rest = reduce(split.rest, g);
  k /= g;
  if (k == 1) return quotient + rest;
  if (rest.is_constant() || lies_within(rest, 0, k - 1)) return quotient;
  if (const auto combined = combine_nested(rest, k)) return quotient + *combined;
  return quotient + DimAlgebra::from_atom(Kind::kFloorDiv, {}, {rest, k});
}

// k >= 2
Dim modulo_by_integer(const Dim& a, int64_t k) {
  const Split split = split_by_integer(DimAlgebra::terms(a), k);
  const bool has_constant = !split.rest.empty() && split.rest.back().factors.empty();
  const int64_t constant = has_constant ? split.rest.back().coefficient : 0;
  const int64_t g = divisor_of_coefficients(split.rest, k);
  const Dim rest = reduce(split.rest, g);
  const int64_t low_part = constant % g;
  k /= g;
  if (k == 1) return low_part;
  if (rest.is_constant() || lies_within(rest, 0, k - 1)) return Dim(g) * rest + Dim(low_part);
  return Dim(g) * DimAlgebra::from_atom(Kind::kMod, {}, {rest, k}) + Dim(low_part);
}

Dim divide_by_integer(Kind kind, const Dim& a, int64_t k) {
  constexpr int64_t kSmallest = std::numeric_limits<int64_t>::min();
  if (k == 0 || k == kSmallest) return DimAlgebra::from_atom(kind, {}, {a, k});
  if (k < 0) {
    const Kind opposite = kind == Kind::kFloorDiv ? Kind::kCeilDiv : Kind::kFloorDiv;
    return Dim(-1) * DimAlgebra::divide(opposite, a, Dim(-k));
  }
  if (k == 1) return a;
  if (kind == Kind::kFloorDiv) return floor_by_integer(a, k);
  if (a.is_constant()) return floor_quotient(a.constant(), k) + (a.constant() % k != 0);
  return floor_by_integer(a + Dim(k - 1), k);
}

}  // namespace

int64_t floor_quotient(int64_t a, int64_t b) {
  const int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

int64_t floor_remainder(int64_t a, int64_t b) {
  const int64_t rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

Dim DimAlgebra::divide(DimAtom::Kind kind, const Dim& a, const Dim& b) {
  if (b.is_constant()) return divide_by_integer(kind, a, b.constant());
  if (a.is_constant(0)) return 0;
  if (a == b) return 1;
  const DimTerms numerator = terms(a), denominator = terms(b);
  if (auto quotient = divide_exactly(numerator, denominator)) return from_terms(std::move(*quotient));
  const DimTerm common = common_divisor(numerator, denominator);
  if (common.coefficient > 1 || !common.factors.empty()) {
    return divide(kind, from_terms(divide_all(numerator, common)),
                  from_terms(divide_all(denominator, common)));
  }
  if (denominator.size() == 1) {
    Split split = split_by_term(numerator, denominator.front());
    if (!split.quotient.empty()) {
      return from_terms(std::move(split.quotient)) + divide(kind, from_terms(std::move(split.rest)), b);
    }
  }
  if (kind == Kind::kFloorDiv) {
    const std::optional<int64_t> low = interval(a).low, gap = interval(b - a).low;
    if (low && *low >= 0 && gap && *gap >= 1) return 0;
  }
  return from_atom(kind, {}, {a, b});
}

Dim DimAlgebra::modulo(const Dim& a, const Dim& b) {
  if (b.is_constant(1)) return 0;
  if (b.is_constant() && b.constant() > 1) return modulo_by_integer(a, b.constant());
  if (b.is_constant() && a.is_constant() && b.constant() < -1)
    return floor_remainder(a.constant(), b.constant());
  if (b.is_constant()) return b.is_constant(-1) ? Dim(0) : from_atom(Kind::kMod, {}, {a, b});
  if (a.is_constant(0) || a == b) return 0;
  const DimTerms numerator = terms(a), denominator = terms(b);
  if (divide_exactly(numerator, denominator)) return 0;
  const DimTerm common = common_divisor(numerator, denominator);
  if (common.coefficient > 1 || !common.factors.empty()) {
    return from_terms({common}) *
           modulo(from_terms(divide_all(numerator, common)), from_terms(divide_all(denominator, common)));
  }
  if (denominator.size() == 1) {
    Split split = split_by_term(numerator, denominator.front());
    if (!split.quotient.empty()) return modulo(from_terms(std::move(split.rest)), b);
  }
  return from_atom(Kind::kMod, {}, {a, b});
}

}  // namespace gannet
