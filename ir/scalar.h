// What one element can compute. A ScalarExpr is an immutable expression over the elements of the operands; it is the
// body of every elementwise op and of the fused node Map, and everything about an elementwise op (types, evaluation,
// gradient, generated code) follows from it. The primitives and their derivatives are the rows of scalar.def.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/base/dtype.h"
#include "ir/base/error.h"

namespace gannet {

enum class ScalarOp : uint8_t {
  kArg,     // element of operand `index`
  kNumber,  // a literal; takes the type of what it is combined with
  kCast,    // conversion to `dtype` as C++ converts between storage types
  kSelect,  // args[0] ? args[1] : args[2]
#define SCALAR1(Name, function, rule, value, dx) k##Name,
#define SCALAR2(Name, function, rule, value, dx, dy) k##Name,
#include "ir/scalar.def"
};

// How the type of a primitive's result follows from its operands.
enum class ScalarRule : uint8_t {
  kNumeric,  // T, T -> T for every number
  kFloat,    // T -> T for f32, f64 (f16 and bf16 are computed in f32)
  kInteger,  // T, T -> T for integers
  kPower,    // T, U -> T
  kCompare,  // T, T -> bool
  kLogical,  // bool, bool -> bool
};

struct ScalarNode;

class ScalarExpr {
 public:
  ScalarExpr() = default;  // absent: an optional operand that a node does not have
  ScalarExpr(double number);
  ScalarExpr(int number);
  static ScalarExpr integer(int64_t number);  // exact above 2^53
  static ScalarExpr arg(int index);
  static ScalarExpr make(ScalarOp op, std::vector<ScalarExpr> args, DType dtype = DType::kUndefined);

  bool empty() const { return node_ == nullptr; }
  const ScalarNode* operator->() const { return node_.get(); }
  const ScalarNode* node() const { return node_.get(); }

 private:
  std::shared_ptr<const ScalarNode> node_;
};

struct ScalarNode {
  ScalarOp op = ScalarOp::kNumber;
  int index = 0;                      // kArg
  double number = 0;                  // kNumber
  int64_t integer = 0;                // kNumber, when is_integer
  bool is_integer = false;
  DType dtype = DType::kUndefined;    // kCast
  std::vector<ScalarExpr> args;
};

// Building expressions. Comparisons and logic give bool expressions.
ScalarExpr operator+(const ScalarExpr& x, const ScalarExpr& y);
ScalarExpr operator-(const ScalarExpr& x, const ScalarExpr& y);
ScalarExpr operator*(const ScalarExpr& x, const ScalarExpr& y);
ScalarExpr operator/(const ScalarExpr& x, const ScalarExpr& y);
ScalarExpr operator-(const ScalarExpr& x);
ScalarExpr operator<(const ScalarExpr& x, const ScalarExpr& y);
ScalarExpr operator<=(const ScalarExpr& x, const ScalarExpr& y);
ScalarExpr operator>(const ScalarExpr& x, const ScalarExpr& y);
ScalarExpr operator>=(const ScalarExpr& x, const ScalarExpr& y);
ScalarExpr operator==(const ScalarExpr& x, const ScalarExpr& y);
ScalarExpr operator!=(const ScalarExpr& x, const ScalarExpr& y);
ScalarExpr operator&&(const ScalarExpr& x, const ScalarExpr& y);
ScalarExpr operator||(const ScalarExpr& x, const ScalarExpr& y);
ScalarExpr operator!(const ScalarExpr& x);
ScalarExpr select(const ScalarExpr& condition, const ScalarExpr& x, const ScalarExpr& y);
ScalarExpr cast(const ScalarExpr& x, DType dtype);

// Every row of scalar.def as a function of expressions: scalar::exp(x), scalar::max(x, y), ...
namespace scalar {
#define SCALAR1(Name, function, rule, value, dx) ScalarExpr function(const ScalarExpr& x);
#define SCALAR2(Name, function, rule, value, dx, dy) ScalarExpr function(const ScalarExpr& x, const ScalarExpr& y);
#include "ir/scalar.def"
}  // namespace scalar

// True for the same expression, structurally.
bool same_expression(const ScalarExpr& a, const ScalarExpr& b);
// Number of distinct operands: one more than the largest index, 0 for none.
int operand_count(const ScalarExpr& expr);
// The expression with operand i replaced by replacements[i].
ScalarExpr substitute(const ScalarExpr& expr, std::span<const ScalarExpr> replacements);

// The element type of the result for operands of `operand_types`; an error where they do not fit together
// ("add takes operands of one type, got f32 and i64"). kUndefined when the expression holds only literals.
Result<DType> result_type(const ScalarExpr& expr, std::span<const DType> operand_types);

// d(expr)/d(operand) times `upstream`, by reverse accumulation over the rows' derivatives. Zero literal when `expr`
// does not depend on it differentiably.
ScalarExpr derivative(const ScalarExpr& expr, int operand, const ScalarExpr& upstream);

// Row lookup for printing, parsing and code generation.
std::string_view name_of(ScalarOp op);              // "add", "tanh", "select", ...
bool scalar_op_from_name(std::string_view name, ScalarOp& op);
int arity_of(ScalarOp op);
ScalarRule rule_of(ScalarOp op);

// "select(x0 < 0, 0.01 * x0, x0)"; parse_scalar reads it back.
std::string to_string(const ScalarExpr& expr);
Result<ScalarExpr> parse_scalar(std::string_view text);

}  // namespace gannet
