#include "ir/dim_scalar.h"

namespace gannet {

namespace {

std::optional<bool> decide_equal(const Dim& a, const Dim& b) {
  Dim difference = a - b;
  if (difference.is_constant()) return difference.constant() == 0;
  std::optional<int64_t> low = difference.lower_bound(), high = difference.upper_bound();
  if ((low && *low > 0) || (high && *high < 0)) return false;
  return std::nullopt;
}

std::optional<bool> decide_less(const Dim& a, const Dim& b) {
  Dim difference = a - b;
  std::optional<int64_t> low = difference.lower_bound(), high = difference.upper_bound();
  if (high && *high < 0) return true;
  if (low && *low >= 0) return false;
  return std::nullopt;
}

std::optional<Dim> as_dim(std::optional<bool> truth) {
  if (!truth) return std::nullopt;
  return Dim(*truth ? 1 : 0);
}

// ONNX divides integers toward zero, which is floor division for what is known to be >= 0.
std::optional<Dim> divide(const Dim& a, const Dim& b) {
  if (a.is_constant() && b.is_constant()) {
    if (b.constant() == 0 || (b.constant() == -1 && a.constant() == INT64_MIN)) return std::nullopt;
    return Dim(a.constant() / b.constant());
  }
  std::optional<int64_t> low = a.lower_bound();
  if (b.is_constant() && b.constant() > 0 && low && *low >= 0) return floordiv(a, b);
  return std::nullopt;
}

std::optional<Dim> apply_primitive(ScalarOp op, std::span<const Dim> x) {
  switch (op) {
    case ScalarOp::kAdd: return x[0] + x[1];
    case ScalarOp::kSub: return x[0] - x[1];
    case ScalarOp::kMul: return x[0] * x[1];
    case ScalarOp::kDiv: return divide(x[0], x[1]);
    case ScalarOp::kFloorMod:
      if (!x[1].is_constant() || x[1].constant() <= 0) return std::nullopt;
      return mod(x[0], x[1]);
    case ScalarOp::kMin: return min(x[0], x[1]);
    case ScalarOp::kMax: return max(x[0], x[1]);
    case ScalarOp::kNeg: return Dim(0) - x[0];
    case ScalarOp::kAbs:
      if (x[0].lower_bound().value_or(-1) >= 0) return x[0];
      return std::nullopt;
    case ScalarOp::kEqual: return as_dim(decide_equal(x[0], x[1]));
    case ScalarOp::kNotEqual: {
      std::optional<bool> equal = decide_equal(x[0], x[1]);
      return equal ? as_dim(!*equal) : std::nullopt;
    }
    case ScalarOp::kLess: return as_dim(decide_less(x[0], x[1]));
    case ScalarOp::kLessEqual: return as_dim(decide_less(x[0], x[1] + Dim(1)));
    case ScalarOp::kNot:
      if (!x[0].is_constant()) return std::nullopt;
      return Dim(x[0].constant() == 0 ? 1 : 0);
    default: return std::nullopt;
  }
}

}  // namespace

std::optional<Dim> evaluate_over_dims(const ScalarExpr& expr, std::span<const Dim> operands) {
  if (expr->op == ScalarOp::kArg) return operands[static_cast<size_t>(expr->index)];
  if (expr->op == ScalarOp::kNumber) {
    if (!expr->is_integer) return std::nullopt;
    return Dim(expr->integer);
  }
  if (expr->op == ScalarOp::kCast) {
    if (!is_int(expr->dtype)) return std::nullopt;
    return evaluate_over_dims(expr->args[0], operands);
  }
  if (expr->op == ScalarOp::kSelect) {
    std::optional<Dim> condition = evaluate_over_dims(expr->args[0], operands);
    if (!condition || !condition->is_constant()) return std::nullopt;
    return evaluate_over_dims(expr->args[condition->constant() ? 1 : 2], operands);
  }
  std::vector<Dim> arguments;
  for (const ScalarExpr& arg : expr->args) {
    std::optional<Dim> value = evaluate_over_dims(arg, operands);
    if (!value) return std::nullopt;
    arguments.push_back(std::move(*value));
  }
  return apply_primitive(expr->op, arguments);
}

}  // namespace gannet
