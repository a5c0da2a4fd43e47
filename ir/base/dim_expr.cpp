#include "ir/base/dim_expr.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "ir/base/checked.h"

namespace gannet {
namespace {

int degree(const std::vector<DimFactor>& factors) {
  int sum = 0;
  for (const DimFactor& factor : factors) sum += factor.power;
  return sum;
}

std::vector<DimFactor> multiply_factors(const std::vector<DimFactor>& a, const std::vector<DimFactor>& b) {
  std::vector<DimFactor> product;
  product.reserve(a.size() + b.size());
  size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    const int order = DimAlgebra::compare(*a[i].atom, *b[j].atom);
    if (order < 0) {
      product.push_back(a[i++]);
    } else if (order > 0) {
      product.push_back(b[j++]);
    } else {
      product.push_back({a[i].atom, a[i].power + b[j].power});
      ++i, ++j;
    }
  }
  product.insert(product.end(), a.begin() + static_cast<std::ptrdiff_t>(i), a.end());
  product.insert(product.end(), b.begin() + static_cast<std::ptrdiff_t>(j), b.end());
  return product;
}

// FNV-1a, which gives the same names on every machine.
uint64_t hash_of(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

}  // namespace

int DimAlgebra::compare(const DimAtom& a, const DimAtom& b) {
  if (&a == &b) return 0;
  if (a.kind != b.kind) return a.kind < b.kind ? -1 : 1;
  if (const int order = a.name.compare(b.name)) return order < 0 ? -1 : 1;
  if (a.arguments.size() != b.arguments.size()) return a.arguments.size() < b.arguments.size() ? -1 : 1;
  for (size_t i = 0; i < a.arguments.size(); ++i) {
    if (const int order = Dim::compare(a.arguments[i], b.arguments[i])) return order;
  }
  return 0;
}

int DimAlgebra::compare(const std::vector<DimFactor>& a, const std::vector<DimFactor>& b) {
  const int degree_a = degree(a), degree_b = degree(b);
  if (degree_a != degree_b) return degree_a > degree_b ? -1 : 1;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (const int order = compare(*a[i].atom, *b[i].atom)) return order;
    if (a[i].power != b[i].power) return a[i].power > b[i].power ? -1 : 1;
  }
  return 0;  // equal degrees, one the beginning of the other: the same
}

int DimAlgebra::compare(const DimTerms& a, const DimTerms& b) {
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (const int order = compare(a[i].factors, b[i].factors)) return order;
    if (a[i].coefficient != b[i].coefficient) return a[i].coefficient < b[i].coefficient ? -1 : 1;
  }
  if (a.size() != b.size()) return a.size() < b.size() ? -1 : 1;
  return 0;
}

DimTerms DimAlgebra::terms(const Dim& dim) {
  if (dim.expr_) return dim.expr_->terms;
  if (dim.value_ == 0) return {};
  return {{dim.value_, {}}};
}

Dim DimAlgebra::from_terms(DimTerms terms) {
  if (terms.empty()) return 0;
  if (terms.size() == 1 && terms.front().factors.empty()) return terms.front().coefficient;
  int64_t size = 0;
  int depth = 0;
  for (const DimTerm& term : terms) {
    size += 1;
    for (const DimFactor& factor : term.factors) {
      size += factor.atom->size + factor.power - 1;
      depth = std::max(depth, factor.atom->depth);
    }
  }
  Dim result;
  const bool fits = size <= kMaxSize && depth <= kMaxDepth;
  result.expr_ = std::make_shared<const Dim::Expr>(
      Dim::Expr{std::move(terms), static_cast<int>(std::min<int64_t>(size, kMaxSize)), depth});
  if (fits) return result;
  return from_atom(DimAtom::Kind::kOversized, fmt::format("{:016x}", hash_of(result.to_string())), {});
}

Dim DimAlgebra::from_atom(DimAtom::Kind kind, std::string name, std::vector<Dim> arguments) {
  DimAtom atom{kind, std::move(name), std::move(arguments)};
  for (const Dim& argument : atom.arguments) {
    atom.size += argument.expr_ ? argument.expr_->size : 1;
    atom.depth = std::max(atom.depth, argument.expr_ ? argument.expr_->depth + 1 : 1);
  }
  return from_terms({{1, {{std::make_shared<const DimAtom>(std::move(atom)), 1}}}});
}

const DimAtom* DimAlgebra::atom(const Dim& dim) {
  const DimTerms* terms = expression(dim);
  if (!terms || terms->size() != 1) return nullptr;
  const DimTerm& term = terms->front();
  if (term.coefficient != 1 || term.factors.size() != 1 || term.factors.front().power != 1) return nullptr;
  return term.factors.front().atom.get();
}

std::optional<DimTerms> DimAlgebra::add(const DimTerms& a, const DimTerms& b) {
  DimTerms sum;
  sum.reserve(a.size() + b.size());
  size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    const int order = compare(a[i].factors, b[j].factors);
    if (order < 0) {
      sum.push_back(a[i++]);
    } else if (order > 0) {
      sum.push_back(b[j++]);
    } else {
      const auto coefficient = checked_add(a[i].coefficient, b[j].coefficient);
      if (!coefficient) return std::nullopt;
      if (*coefficient != 0) sum.push_back({*coefficient, a[i].factors});
      ++i, ++j;
    }
  }
  sum.insert(sum.end(), a.begin() + static_cast<std::ptrdiff_t>(i), a.end());
  sum.insert(sum.end(), b.begin() + static_cast<std::ptrdiff_t>(j), b.end());
  return sum;
}

std::optional<DimTerms> DimAlgebra::multiply(const DimTerms& a, const DimTerm& b) {
  // Multiplying by one product keeps the graded lexicographic order.
  DimTerms product;
  product.reserve(a.size());
  for (const DimTerm& term : a) {
    const auto coefficient = checked_mul(term.coefficient, b.coefficient);
    if (!coefficient) return std::nullopt;
    product.push_back({*coefficient, multiply_factors(term.factors, b.factors)});
  }
  return product;
}

std::optional<DimTerms> DimAlgebra::multiply(const DimTerms& a, const DimTerms& b) {
  const DimTerms& longer = a.size() < b.size() ? b : a;
  const DimTerms& shorter = a.size() < b.size() ? a : b;
  DimTerms sum;
  for (const DimTerm& term : shorter) {
    const auto product = multiply(longer, term);
    if (!product) return std::nullopt;
    auto next = add(sum, *product);
    if (!next) return std::nullopt;
    sum = std::move(*next);
  }
  return sum;
}

}  // namespace gannet
