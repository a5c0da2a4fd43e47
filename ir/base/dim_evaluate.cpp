#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "ir/base/checked.h"
#include "ir/base/dim_expr.h"

namespace gannet {
namespace {

using Kind = DimAtom::Kind;
using Bound = std::optional<int64_t>;

Error overflow() { return invalid_input("a dimension overflows 64 bits"); }

Result<int64_t> or_overflow(std::optional<int64_t> value) {
  if (!value) return overflow();
  return *value;
}

Result<int64_t> apply(Kind kind, int64_t a, int64_t b) {
  const bool divides = kind == Kind::kFloorDiv || kind == Kind::kCeilDiv || kind == Kind::kMod;
  if (divides && b == 0) return invalid_input(fmt::format("a dimension divides {} by zero", a));
  if (kind == Kind::kMod) return b == -1 ? 0 : floor_remainder(a, b);
  if (divides && b == -1) return or_overflow(checked_sub(0, a));
  switch (kind) {
    case Kind::kFloorDiv:
      return floor_quotient(a, b);
    case Kind::kCeilDiv:
      return floor_quotient(a, b) + (a % b != 0);
    case Kind::kMin:
      return std::min(a, b);
    case Kind::kMax:
      return std::max(a, b);
    case Kind::kBroadcast:
      return a == 1 ? b : a;
    case Kind::kSum:
      return or_overflow(checked_add(a, b));
    case Kind::kProduct:
      return or_overflow(checked_mul(a, b));
    case Kind::kMod:
    case Kind::kSymbol:
    case Kind::kOversized:
      break;
  }
  CHECK(false, "an atom of kind {} has no arguments", static_cast<int>(kind));
  __builtin_unreachable();
}

Result<int64_t> evaluate_atom(const DimAtom& atom, const SymbolValues& symbols) {
  if (atom.kind == Kind::kOversized)
    return invalid_input("a dimension is too long an expression to have a value");
  if (atom.kind == Kind::kSymbol) {
    const auto found = symbols.find(atom.name);
    if (found == symbols.end()) return invalid_input(fmt::format("dimension '{}' has no value", atom.name));
    return found->second;
  }
  int64_t value = TRY(atom.arguments.front().evaluate(symbols));
  for (size_t i = 1; i < atom.arguments.size(); ++i) {
    const int64_t argument = TRY(atom.arguments[i].evaluate(symbols));
    value = TRY(apply(atom.kind, value, argument));
  }
  return value;
}

Dim apply(Kind kind, const Dim& a, const Dim& b) {
  switch (kind) {
    case Kind::kFloorDiv:
      return floordiv(a, b);
    case Kind::kCeilDiv:
      return ceildiv(a, b);
    case Kind::kMod:
      return mod(a, b);
    case Kind::kMin:
      return min(a, b);
    case Kind::kMax:
      return max(a, b);
    case Kind::kBroadcast:
      return broadcast(a, b);
    case Kind::kSum:
      return a + b;
    case Kind::kProduct:
      return a * b;
    case Kind::kSymbol:
    case Kind::kOversized:
      break;
  }
  CHECK(false, "an atom of kind {} has no arguments", static_cast<int>(kind));
  __builtin_unreachable();
}

Dim substitute_atom(const DimFactor& factor,
                    const std::function<std::optional<Dim>(const std::string&)>& replacement) {
  const DimAtom& atom = *factor.atom;
  const Dim same = DimAlgebra::from_terms({{1, {{factor.atom, 1}}}});
  if (atom.kind == Kind::kSymbol) return replacement(atom.name).value_or(same);
  if (atom.kind == Kind::kOversized) return same;
  Dim result = atom.arguments.front().substitute(replacement);
  for (size_t i = 1; i < atom.arguments.size(); ++i) {
    result = apply(atom.kind, result, atom.arguments[i].substitute(replacement));
  }
  return result;
}

Bound sum(Bound a, Bound b) { return a && b ? checked_add(*a, *b) : std::nullopt; }

DimInterval sum(const DimInterval& a, const DimInterval& b) {
  return {sum(a.low, b.low), sum(a.high, b.high)};
}

DimInterval negated(const DimInterval& a) {
  return {a.high ? checked_sub(0, *a.high) : std::nullopt, a.low ? checked_sub(0, *a.low) : std::nullopt};
}

bool is_never_negative(const DimInterval& a) { return a.low && *a.low >= 0; }

DimInterval product(const DimInterval& a, const DimInterval& b) {
  if (is_never_negative(a) && is_never_negative(b)) {
    // A low bound that overflows is still at least 0.
    const Bound low = checked_mul(*a.low, *b.low);
    const bool is_zero = (a.high && *a.high == 0) || (b.high && *b.high == 0);
    const Bound high = a.high && b.high ? checked_mul(*a.high, *b.high) : std::nullopt;
    return {low ? low : Bound(0), is_zero ? Bound(0) : high};
  }
  if (!a.low || !a.high || !b.low || !b.high) return {};
  DimInterval result;
  for (int64_t x : {*a.low, *a.high}) {
    for (int64_t y : {*b.low, *b.high}) {
      const Bound corner = checked_mul(x, y);
      if (!corner) return {};
      result.low = result.low ? std::min(*result.low, *corner) : *corner;
      result.high = result.high ? std::max(*result.high, *corner) : *corner;
    }
  }
  return result;
}

DimInterval scaled(const DimInterval& a, int64_t factor) {
  if (factor < 0) {
    const Bound positive = checked_sub(0, factor);
    return positive ? negated(scaled(a, *positive)) : DimInterval{};
  }
  return {a.low ? checked_mul(*a.low, factor) : std::nullopt,
          a.high ? checked_mul(*a.high, factor) : std::nullopt};
}

DimInterval quotient(Kind kind, const DimInterval& a, const Dim& divisor) {
  if (divisor.is_constant() && divisor.constant() > 0) {
    const int64_t k = divisor.constant();
    const auto round = [&](Bound bound) -> Bound {
      if (!bound) return std::nullopt;
      return floor_quotient(*bound, k) + (kind == Kind::kCeilDiv && *bound % k != 0);
    };
    return {round(a.low), round(a.high)};
  }
  if (is_never_negative(a) && is_never_negative(interval(divisor))) return {0, a.high};
  return {};
}

DimInterval remainder(const DimInterval& a, const DimInterval& divisor) {
  if (!is_never_negative(divisor)) return {};
  DimInterval result{0, divisor.high ? Bound(*divisor.high - 1) : std::nullopt};
  if (is_never_negative(a) && a.high) result.high = result.high ? std::min(*result.high, *a.high) : *a.high;
  return result;
}

// Bounds of any of several values: `pick` chooses of two bounds that exist, `one_is_enough` says whether a
// bound of one of them bounds the result.
template <class Pick>
Bound join(Bound a, Bound b, bool one_is_enough, Pick pick) {
  if (a && b) return pick(*a, *b);
  if (!one_is_enough) return std::nullopt;
  return a ? a : b;
}

DimInterval interval(const DimAtom& atom) {
  if (atom.kind == Kind::kSymbol) return {0, std::nullopt};
  if (atom.kind == Kind::kOversized) return {};
  DimInterval result = interval(atom.arguments.front());
  const auto smaller = [](int64_t a, int64_t b) { return std::min(a, b); };
  const auto larger = [](int64_t a, int64_t b) { return std::max(a, b); };
  for (size_t i = 1; i < atom.arguments.size(); ++i) {
    const Dim& argument = atom.arguments[i];
    const DimInterval next = interval(argument);
    switch (atom.kind) {
      case Kind::kFloorDiv:
      case Kind::kCeilDiv:
        result = quotient(atom.kind, result, argument);
        break;
      case Kind::kMod:
        result = remainder(result, next);
        break;
      case Kind::kSum:
        result = sum(result, next);
        break;
      case Kind::kProduct:
        result = product(result, next);
        break;
      case Kind::kMin:
        result = {join(result.low, next.low, false, smaller), join(result.high, next.high, true, smaller)};
        break;
      case Kind::kMax:
        result = {join(result.low, next.low, true, larger), join(result.high, next.high, false, larger)};
        break;
      case Kind::kBroadcast:
        result = {join(result.low, next.low, false, smaller), join(result.high, next.high, false, larger)};
        break;
      case Kind::kSymbol:
      case Kind::kOversized:
        break;
    }
  }
  return result;
}

}  // namespace

DimInterval interval(const Dim& dim) {
  if (dim.is_constant()) return {dim.constant(), dim.constant()};
  DimInterval result{0, 0};
  for (const DimTerm& term : *DimAlgebra::expression(dim)) {
    DimInterval value{1, 1};
    for (const DimFactor& factor : term.factors) {
      const DimInterval base = interval(*factor.atom);
      for (int i = 0; i < factor.power; ++i) value = product(value, base);
    }
    result = sum(result, scaled(value, term.coefficient));
  }
  return result;
}

Result<int64_t> Dim::evaluate(const SymbolValues& symbols) const {
  if (is_constant()) return value_;
  int64_t total = 0;
  for (const DimTerm& term : *DimAlgebra::expression(*this)) {
    int64_t value = term.coefficient;
    for (const DimFactor& factor : term.factors) {
      const int64_t base = TRY(evaluate_atom(*factor.atom, symbols));
      for (int i = 0; i < factor.power; ++i) value = TRY(or_overflow(checked_mul(value, base)));
    }
    total = TRY(or_overflow(checked_add(total, value)));
  }
  return total;
}

Dim Dim::substitute(const std::function<std::optional<Dim>(const std::string&)>& replacement) const {
  if (is_constant()) return *this;
  Dim total = 0;
  for (const DimTerm& term : *DimAlgebra::expression(*this)) {
    Dim value = term.coefficient;
    for (const DimFactor& factor : term.factors) {
      const Dim base = substitute_atom(factor, replacement);
      for (int i = 0; i < factor.power; ++i) value = value * base;
    }
    total = total + value;
  }
  return total;
}

Result<std::vector<int64_t>> evaluate(std::span<const Dim> shape, const SymbolValues& symbols) {
  std::vector<int64_t> extents;
  extents.reserve(shape.size());
  for (const Dim& dim : shape) extents.push_back(TRY(dim.evaluate(symbols)));
  return extents;
}

}  // namespace gannet
