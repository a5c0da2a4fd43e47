// The inside of Dim, for the files that implement it: sums of terms, products of atoms, and arithmetic on
// them. Terms stand in graded lexicographic order, highest degree first and the constant last, so that the
// first term of a product is the product of the first terms: division of polynomials rests on that.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ir/base/dim.h"

namespace gannet {

// What cannot be taken apart: a symbol, or a function of canonical Dims.
struct DimAtom {
  enum class Kind {
    kSymbol,
    kFloorDiv,
    kCeilDiv,
    kMod,
    kMin,  // two or more sorted arguments, as kMax and kBroadcast
    kMax,
    kBroadcast,
    kSum,        // a sum whose coefficients overflow
    kProduct,    // a product that overflows, or is too long to expand
    kOversized,  // an expression beyond the size limits; `name` identifies it, it has no value
  };
  Kind kind;
  std::string name;
  std::vector<Dim> arguments;
  int size = 1;   // atoms in it, itself included
  int depth = 1;  // longest chain of atoms inside each other
};

struct DimFactor {
  std::shared_ptr<const DimAtom> atom;
  int power = 1;
};

struct DimTerm {
  int64_t coefficient = 0;
  std::vector<DimFactor> factors;  // sorted; empty for the constant term
};

// Sorted, each product once, no zero coefficient.
using DimTerms = std::vector<DimTerm>;

struct Dim::Expr {
  DimTerms terms;
  int size = 0;
  int depth = 0;
};

struct DimAlgebra {
  static constexpr int kMaxSize = 2000;
  static constexpr int kMaxDepth = 64;
  static constexpr size_t kMaxExpansion = 64;

  static int compare(const DimAtom& a, const DimAtom& b);
  static int compare(const std::vector<DimFactor>& a, const std::vector<DimFactor>& b);
  static int compare(const DimTerms& a, const DimTerms& b);

  // The terms of any Dim; none for 0.
  static DimTerms terms(const Dim& dim);
  // The terms of an expression, without a copy; null for a constant.
  static const DimTerms* expression(const Dim& dim) { return dim.expr_ ? &dim.expr_->terms : nullptr; }
  static Dim from_terms(DimTerms terms);
  static Dim from_atom(DimAtom::Kind kind, std::string name, std::vector<Dim> arguments);
  // The atom when the Dim is one and nothing more, else null.
  static const DimAtom* atom(const Dim& dim);

  // Nothing where a coefficient overflows.
  static std::optional<DimTerms> add(const DimTerms& a, const DimTerms& b);
  static std::optional<DimTerms> multiply(const DimTerms& a, const DimTerms& b);
  static std::optional<DimTerms> multiply(const DimTerms& a, const DimTerm& b);

  // floordiv, ceildiv (by `kind`) and mod.
  static Dim divide(DimAtom::Kind kind, const Dim& a, const Dim& b);
  static Dim modulo(const Dim& a, const Dim& b);
};

// Bounds of a value; nothing where there is none.
struct DimInterval {
  std::optional<int64_t> low, high;
};
DimInterval interval(const Dim& dim);

// Division of integers that rounds down; b != 0, and not INT64_MIN by -1.
int64_t floor_quotient(int64_t a, int64_t b);
// a - floor_quotient(a, b) * b, of the sign of b.
int64_t floor_remainder(int64_t a, int64_t b);

}  // namespace gannet
