#include "ir/base/dim.h"

#include <algorithm>
#include <limits>

#include "ir/base/checked.h"
#include "ir/base/dim_expr.h"

namespace gannet {
namespace {

using Kind = DimAtom::Kind;

// Adds to `arguments` those of `dim` when it is an atom of the kind itself, else `dim`.
void flatten(Kind kind, const Dim& dim, std::vector<Dim>& arguments) {
  const DimAtom* atom = DimAlgebra::atom(dim);
  if (atom && atom->kind == kind) {
    arguments.insert(arguments.end(), atom->arguments.begin(), atom->arguments.end());
  } else {
    arguments.push_back(dim);
  }
}

std::vector<Dim> sorted_arguments(Kind kind, const Dim& a, const Dim& b) {
  std::vector<Dim> arguments;
  flatten(kind, a, arguments);
  flatten(kind, b, arguments);
  std::sort(arguments.begin(), arguments.end());
  arguments.erase(std::unique(arguments.begin(), arguments.end()), arguments.end());
  return arguments;
}

// True when a >= b for all symbol values.
bool never_below(const Dim& a, const Dim& b) {
  const std::optional<int64_t> low = (a - b).lower_bound();
  return low && *low >= 0;
}

Dim extremum(Kind kind, const Dim& a, const Dim& b) {
  std::vector<Dim> arguments = sorted_arguments(kind, a, b);
  constexpr size_t kMaxCompared = 32;  // pairs are compared, which is quadratic
  for (size_t i = 0; i < arguments.size() && arguments.size() <= kMaxCompared;) {
    const bool redundant = std::any_of(arguments.begin(), arguments.end(), [&](const Dim& other) {
      if (&other == &arguments[i]) return false;
      return kind == Kind::kMax ? never_below(other, arguments[i]) : never_below(arguments[i], other);
    });
    if (redundant)
      arguments.erase(arguments.begin() + static_cast<std::ptrdiff_t>(i));
    else
      ++i;
  }
  if (arguments.size() == 1) return arguments.front();
  return DimAlgebra::from_atom(kind, {}, std::move(arguments));
}

}  // namespace

Dim Dim::symbol(std::string name) { return DimAlgebra::from_atom(Kind::kSymbol, std::move(name), {}); }

int64_t Dim::constant() const {
  CHECK(is_constant(), "{} is not an integer", to_string());
  return value_;
}

std::optional<std::string> Dim::symbol_name() const {
  const DimAtom* atom = DimAlgebra::atom(*this);
  if (!atom || atom->kind != Kind::kSymbol) return std::nullopt;
  return atom->name;
}

int Dim::compare(const Dim& a, const Dim& b) {
  if (a.is_constant() != b.is_constant()) return a.is_constant() ? -1 : 1;
  if (a.is_constant()) return a.value_ < b.value_ ? -1 : a.value_ > b.value_;
  return a.expr_ == b.expr_ ? 0 : DimAlgebra::compare(a.expr_->terms, b.expr_->terms);
}

Dim operator+(const Dim& a, const Dim& b) {
  if (a.is_constant() && b.is_constant()) {
    if (const auto sum = checked_add(a.value_, b.value_)) return *sum;
  }
  if (a.is_constant(0)) return b;
  if (b.is_constant(0)) return a;
  if (auto sum = DimAlgebra::add(DimAlgebra::terms(a), DimAlgebra::terms(b))) {
    return DimAlgebra::from_terms(std::move(*sum));
  }
  return DimAlgebra::from_atom(Kind::kSum, {}, {std::min(a, b), std::max(a, b)});
}

Dim operator-(const Dim& a, const Dim& b) {
  if (a.is_constant() && b.is_constant()) {
    if (const auto difference = checked_sub(a.value_, b.value_)) return *difference;
  }
  return a + Dim(-1) * b;
}

Dim operator*(const Dim& a, const Dim& b) {
  if (a.is_constant() && b.is_constant()) {
    if (const auto product = checked_mul(a.value_, b.value_)) return *product;
  }
  if (a.is_constant(0) || b.is_constant(0)) return 0;
  if (a.is_constant(1)) return b;
  if (b.is_constant(1)) return a;
  const DimTerms left = DimAlgebra::terms(a), right = DimAlgebra::terms(b);
  const bool is_scaling = left.size() == 1 || right.size() == 1;
  if (is_scaling || left.size() * right.size() <= DimAlgebra::kMaxExpansion) {
    if (auto product = DimAlgebra::multiply(left, right)) return DimAlgebra::from_terms(std::move(*product));
  }
  return DimAlgebra::from_atom(Kind::kProduct, {}, {std::min(a, b), std::max(a, b)});
}

Dim floordiv(const Dim& a, const Dim& b) { return DimAlgebra::divide(Kind::kFloorDiv, a, b); }
Dim ceildiv(const Dim& a, const Dim& b) { return DimAlgebra::divide(Kind::kCeilDiv, a, b); }
Dim mod(const Dim& a, const Dim& b) { return DimAlgebra::modulo(a, b); }

Dim min(const Dim& a, const Dim& b) {
  if (a.is_constant() && b.is_constant()) return std::min(a.value_, b.value_);
  return extremum(Kind::kMin, a, b);
}

Dim max(const Dim& a, const Dim& b) {
  if (a.is_constant() && b.is_constant()) return std::max(a.value_, b.value_);
  return extremum(Kind::kMax, a, b);
}

// True for min(whole, c) with an integer c > 1: an extent cut off at c. Against `whole` it broadcasts only where
// nothing is cut off, since c is neither `whole` then nor 1.
static bool is_cut_off(const Dim& part, const Dim& whole) {
  const DimAtom* atom = DimAlgebra::atom(part);
  if (atom == nullptr || atom->kind != Kind::kMin || atom->arguments.size() != 2) return false;
  const Dim& limit = atom->arguments[0];  // sorting puts integers first
  return limit.is_constant() && limit.constant() > 1 && atom->arguments[1] == whole;
}

Dim broadcast(const Dim& a, const Dim& b) {
  if (a.is_constant(1)) return b;
  if (b.is_constant(1) || a == b || is_cut_off(b, a)) return a;
  if (is_cut_off(a, b)) return b;
  std::vector<Dim> arguments = sorted_arguments(Kind::kBroadcast, a, b);
  // What cannot be 1 is the result. Sorting has put integers first.
  for (const Dim& argument : arguments) {
    const DimInterval bounds = interval(argument);
    if ((bounds.low && *bounds.low > 1) || (bounds.high && *bounds.high < 1)) return argument;
  }
  if (arguments.size() == 1) return arguments.front();
  return DimAlgebra::from_atom(Kind::kBroadcast, {}, std::move(arguments));
}

void Dim::collect_symbols(std::vector<std::string>& names) const {
  if (is_constant()) return;
  const auto collect = [&names](const auto& self, const DimTerms& terms) -> void {
    for (const DimTerm& term : terms) {
      for (const DimFactor& factor : term.factors) {
        if (factor.atom->kind == Kind::kSymbol) names.push_back(factor.atom->name);
        for (const Dim& argument : factor.atom->arguments) {
          if (const DimTerms* inner = DimAlgebra::expression(argument)) self(self, *inner);
        }
      }
    }
  };
  collect(collect, expr_->terms);
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
}

std::optional<int64_t> Dim::lower_bound() const { return interval(*this).low; }
std::optional<int64_t> Dim::upper_bound() const { return interval(*this).high; }

bool is_static(std::span<const Dim> shape) {
  return std::all_of(shape.begin(), shape.end(), [](const Dim& dim) { return dim.is_constant(); });
}

std::vector<int64_t> static_extents(std::span<const Dim> shape) {
  std::vector<int64_t> extents;
  extents.reserve(shape.size());
  for (const Dim& dim : shape) extents.push_back(dim.constant());
  return extents;
}

Dim element_count(std::span<const Dim> shape) {
  Dim count = 1;
  for (const Dim& dim : shape) count = count * dim;
  return count;
}

Shape to_shape(std::span<const int64_t> extents) { return Shape(extents.begin(), extents.end()); }

}  // namespace gannet
