// A dimension: an integer, a symbol ("batch"), or an expression of them ("2*seq+1").
//
// A Dim is kept in one canonical form: a sum of terms, each an integer coefficient times a sorted product of atoms;
// an atom is a symbol or one of floordiv, ceildiv, mod, min, max, broadcast applied to canonical Dims. Two Dims are
// equal exactly when their canonical forms are, so equality is decidable and printing is deterministic. Symbols stand
// for integers >= 0 (an extent); the algebra never assumes that two symbols differ.
//
// broadcast(a, b) is the extent of ONNX's broadcasting: b where a is 1, else a. It simplifies when either side is a
// known integer. That the operands do fit is checked when the shapes are known.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/base/error.h"

namespace gannet {

class Dim;
using Shape = std::vector<Dim>;
// Values of symbols, by name.
using SymbolValues = std::map<std::string, int64_t, std::less<>>;

class Dim {
 public:
  Dim() : Dim(0) {}
  Dim(int64_t value) : value_(value) {}
  Dim(int value) : value_(value) {}
  static Dim symbol(std::string name);

  bool is_constant() const { return expr_ == nullptr; }
  bool is_constant(int64_t value) const { return is_constant() && value_ == value; }
  // The integer; CHECKs that it is one.
  int64_t constant() const;
  // The name when this is a symbol and nothing more.
  std::optional<std::string> symbol_name() const;

  friend Dim operator+(const Dim& a, const Dim& b);
  friend Dim operator-(const Dim& a, const Dim& b);
  friend Dim operator*(const Dim& a, const Dim& b);
  friend Dim floordiv(const Dim& a, const Dim& b);
  friend Dim ceildiv(const Dim& a, const Dim& b);
  friend Dim mod(const Dim& a, const Dim& b);  // a - floordiv(a, b) * b
  friend Dim min(const Dim& a, const Dim& b);
  friend Dim max(const Dim& a, const Dim& b);
  friend Dim broadcast(const Dim& a, const Dim& b);

  friend bool operator==(const Dim& a, const Dim& b) { return compare(a, b) == 0; }
  friend std::strong_ordering operator<=>(const Dim& a, const Dim& b) { return compare(a, b) <=> 0; }

  // The value under `symbols`; an error names a symbol without a value, a division by zero, or an overflow.
  Result<int64_t> evaluate(const SymbolValues& symbols) const;
  // The same expression with each symbol that `replacement` knows replaced.
  Dim substitute(const std::function<std::optional<Dim>(const std::string&)>& replacement) const;
  // Adds the names of all symbols in it, sorted and once each, to `names`.
  void collect_symbols(std::vector<std::string>& names) const;
  // Bounds that hold for all symbol values >= 0 (extents); nothing where there is none.
  std::optional<int64_t> lower_bound() const;
  std::optional<int64_t> upper_bound() const;

  // "2*seq+1", "floordiv(h, 2)"; parse_dim reads it back.
  std::string to_string() const;

 private:
  struct Expr;
  static int compare(const Dim& a, const Dim& b);
  friend struct DimAlgebra;

  int64_t value_ = 0;                // when expr_ is null
  std::shared_ptr<const Expr> expr_;
};

// Reads the textual form; symbols are names of letters, digits, '_' and '.', or anything quoted in '"'.
Result<Dim> parse_dim(std::string_view text);

std::string to_string(std::span<const Dim> shape);            // "[batch, 3, 224, 224]"
std::string to_string(std::span<const int64_t> extents);      // "[1, 3, 224, 224]"
// True where all dimensions are integers.
bool is_static(std::span<const Dim> shape);
// The integers of a static shape; CHECKs that it is static.
std::vector<int64_t> static_extents(std::span<const Dim> shape);
// Product of all dimensions.
Dim element_count(std::span<const Dim> shape);
Shape to_shape(std::span<const int64_t> extents);
// All dimensions evaluated.
Result<std::vector<int64_t>> evaluate(std::span<const Dim> shape, const SymbolValues& symbols);

}  // namespace gannet
