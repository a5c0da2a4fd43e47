#include "ir/scalar.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <unordered_set>

namespace gannet {

ScalarExpr ScalarExpr::make(ScalarOp op, std::vector<ScalarExpr> args, DType dtype) {
  auto node = std::make_shared<ScalarNode>();
  node->op = op;
  node->args = std::move(args);
  node->dtype = dtype;
  for (const ScalarExpr& arg : node->args) CHECK(!arg.empty(), "an operand of {} is absent", name_of(op));
  ScalarExpr result;
  result.node_ = std::move(node);
  return result;
}

ScalarExpr::ScalarExpr(double number) {
  auto node = std::make_shared<ScalarNode>();
  node->number = number;
  constexpr double kExact = 9007199254740992.0;
  node->is_integer = std::abs(number) <= kExact && number == std::floor(number) && !(number == 0 && std::signbit(number));
  node->integer = node->is_integer ? static_cast<int64_t>(number) : 0;
  node_ = std::move(node);
}

ScalarExpr::ScalarExpr(int number) : ScalarExpr(static_cast<double>(number)) {}

ScalarExpr ScalarExpr::integer(int64_t number) {
  auto node = std::make_shared<ScalarNode>();
  node->number = static_cast<double>(number);
  node->integer = number;
  node->is_integer = true;
  ScalarExpr result;
  result.node_ = std::move(node);
  return result;
}

ScalarExpr ScalarExpr::arg(int index) {
  auto node = std::make_shared<ScalarNode>();
  node->op = ScalarOp::kArg;
  node->index = index;
  ScalarExpr result;
  result.node_ = std::move(node);
  return result;
}

ScalarExpr operator+(const ScalarExpr& x, const ScalarExpr& y) { return ScalarExpr::make(ScalarOp::kAdd, {x, y}); }
ScalarExpr operator-(const ScalarExpr& x, const ScalarExpr& y) { return ScalarExpr::make(ScalarOp::kSub, {x, y}); }
ScalarExpr operator*(const ScalarExpr& x, const ScalarExpr& y) { return ScalarExpr::make(ScalarOp::kMul, {x, y}); }
ScalarExpr operator/(const ScalarExpr& x, const ScalarExpr& y) { return ScalarExpr::make(ScalarOp::kDiv, {x, y}); }
ScalarExpr operator-(const ScalarExpr& x) { return ScalarExpr::make(ScalarOp::kNeg, {x}); }
ScalarExpr operator<(const ScalarExpr& x, const ScalarExpr& y) { return ScalarExpr::make(ScalarOp::kLess, {x, y}); }
ScalarExpr operator<=(const ScalarExpr& x, const ScalarExpr& y) { return ScalarExpr::make(ScalarOp::kLessEqual, {x, y}); }
ScalarExpr operator>(const ScalarExpr& x, const ScalarExpr& y) { return ScalarExpr::make(ScalarOp::kLess, {y, x}); }
ScalarExpr operator>=(const ScalarExpr& x, const ScalarExpr& y) { return ScalarExpr::make(ScalarOp::kLessEqual, {y, x}); }
ScalarExpr operator==(const ScalarExpr& x, const ScalarExpr& y) { return ScalarExpr::make(ScalarOp::kEqual, {x, y}); }
ScalarExpr operator!=(const ScalarExpr& x, const ScalarExpr& y) { return ScalarExpr::make(ScalarOp::kNotEqual, {x, y}); }
ScalarExpr operator&&(const ScalarExpr& x, const ScalarExpr& y) { return ScalarExpr::make(ScalarOp::kAnd, {x, y}); }
ScalarExpr operator||(const ScalarExpr& x, const ScalarExpr& y) { return ScalarExpr::make(ScalarOp::kOr, {x, y}); }
ScalarExpr operator!(const ScalarExpr& x) { return ScalarExpr::make(ScalarOp::kNot, {x}); }
ScalarExpr select(const ScalarExpr& condition, const ScalarExpr& x, const ScalarExpr& y) {
  return ScalarExpr::make(ScalarOp::kSelect, {condition, x, y});
}
ScalarExpr cast(const ScalarExpr& x, DType dtype) { return ScalarExpr::make(ScalarOp::kCast, {x}, dtype); }

namespace scalar {
#define SCALAR1(Name, function, rule, value, dx) \
  ScalarExpr function(const ScalarExpr& x) { return ScalarExpr::make(ScalarOp::k##Name, {x}); }
#define SCALAR2(Name, function, rule, value, dx, dy) \
  ScalarExpr function(const ScalarExpr& x, const ScalarExpr& y) { return ScalarExpr::make(ScalarOp::k##Name, {x, y}); }
#include "ir/scalar.def"
}  // namespace scalar

namespace {

struct Row {
  std::string_view name;
  int arity;
  ScalarRule rule;
};

constexpr Row kRows[] = {
    {"arg", 0, ScalarRule::kNumeric},
    {"number", 0, ScalarRule::kNumeric},
    {"cast", 1, ScalarRule::kNumeric},
    {"select", 3, ScalarRule::kNumeric},
#define SCALAR1(Name, function, rule, value, dx) {#function, 1, ScalarRule::k##rule},
#define SCALAR2(Name, function, rule, value, dx, dy) {#function, 2, ScalarRule::k##rule},
#include "ir/scalar.def"
};

const Row& row_of(ScalarOp op) { return kRows[static_cast<size_t>(op)]; }

// For leaving zeros out of sums, so that derivatives stay readable.
bool is_number(const ScalarExpr& e, double number) { return e->op == ScalarOp::kNumber && e->number == number; }

}  // namespace

std::string_view name_of(ScalarOp op) { return row_of(op).name; }
int arity_of(ScalarOp op) { return row_of(op).arity; }
ScalarRule rule_of(ScalarOp op) { return row_of(op).rule; }

bool scalar_op_from_name(std::string_view name, ScalarOp& op) {
  for (size_t i = 0; i < std::size(kRows); ++i) {
    if (kRows[i].name != name) continue;
    op = static_cast<ScalarOp>(i);
    return true;
  }
  return false;
}

bool same_expression(const ScalarExpr& a, const ScalarExpr& b) {
  if (a.node() == b.node()) return true;
  if (a.empty() || b.empty() || a->op != b->op || a->index != b->index || a->dtype != b->dtype || a->args.size() != b->args.size()) return false;
  bool same_number = a->is_integer == b->is_integer && a->integer == b->integer &&
                     (a->number == b->number || (a->number != a->number && b->number != b->number));
  if (a->op == ScalarOp::kNumber && !same_number) return false;
  return std::equal(a->args.begin(), a->args.end(), b->args.begin(), same_expression);
}

static void post_order(const ScalarExpr& expr, std::vector<ScalarExpr>& order,
                       std::unordered_set<const ScalarNode*>& seen) {
  if (!seen.insert(expr.node()).second) return;
  for (const ScalarExpr& arg : expr->args) post_order(arg, order, seen);
  order.push_back(expr);
}

// Each shared part once, operands before what uses them.
static std::vector<ScalarExpr> parts_of(const ScalarExpr& expr) {
  std::vector<ScalarExpr> order;
  std::unordered_set<const ScalarNode*> seen;
  post_order(expr, order, seen);
  return order;
}

int operand_count(const ScalarExpr& expr) {
  int count = 0;
  for (const ScalarExpr& part : parts_of(expr)) {
    if (part->op == ScalarOp::kArg) count = std::max(count, part->index + 1);
  }
  return count;
}

static ScalarExpr substitute_shared(const ScalarExpr& expr, std::span<const ScalarExpr> replacements,
                                    std::unordered_map<const ScalarNode*, ScalarExpr>& done) {
  if (expr->op == ScalarOp::kArg) return replacements[static_cast<size_t>(expr->index)];
  if (expr->args.empty()) return expr;
  auto known = done.find(expr.node());
  if (known != done.end()) return known->second;
  std::vector<ScalarExpr> args;
  for (const ScalarExpr& arg : expr->args) args.push_back(substitute_shared(arg, replacements, done));
  ScalarExpr result = ScalarExpr::make(expr->op, std::move(args), expr->dtype);
  done.emplace(expr.node(), result);
  return result;
}

ScalarExpr substitute(const ScalarExpr& expr, std::span<const ScalarExpr> replacements) {
  std::unordered_map<const ScalarNode*, ScalarExpr> done;
  return substitute_shared(expr, replacements, done);
}

namespace {

// kUndefined stands for a literal, which takes the type of its neighbours.
Result<DType> unify(ScalarOp op, DType a, DType b) {
  if (a == b || b == DType::kUndefined) return a;
  if (a == DType::kUndefined) return b;
  return invalid_model(fmt::format("{} takes operands of one type, got {} and {}", name_of(op), name_of(a), name_of(b)));
}

Error wrong_type(ScalarOp op, std::string_view wanted, DType got) {
  return invalid_model(fmt::format("{} takes {} operands, got {}", name_of(op), wanted, name_of(got)));
}

bool is_arithmetic(DType t) { return is_float(t) || (is_int(t) && element_bits(t) >= 8) || t == DType::kUndefined; }

Result<DType> type_by_rule(ScalarOp op, std::span<const DType> args) {
  DType joint = args[0];
  ScalarRule rule = rule_of(op);
  if (rule == ScalarRule::kPower) {
    if (!is_arithmetic(args[1])) return wrong_type(op, "numeric", args[1]);
    if (joint == DType::kUndefined) joint = args[1];
  } else {
    for (DType arg : args) joint = TRY(unify(op, joint, arg));
  }
  switch (rule) {
    case ScalarRule::kNumeric:
    case ScalarRule::kPower:
      if (!is_arithmetic(joint)) return wrong_type(op, "numeric", joint);
      return joint;
    case ScalarRule::kFloat:
      if (!is_float(joint) && joint != DType::kUndefined) return wrong_type(op, "floating point", joint);
      return joint;
    case ScalarRule::kInteger:
      if (is_float(joint) || !is_arithmetic(joint)) return wrong_type(op, "integer", joint);
      return joint;
    case ScalarRule::kLogical:
      if (joint != DType::kBool && joint != DType::kUndefined) return wrong_type(op, "bool", joint);
      return DType::kBool;
    case ScalarRule::kCompare:
      return DType::kBool;
  }
  return joint;
}

class Typing {
 public:
  explicit Typing(std::span<const DType> operands) : operands_(operands) {}

  Result<DType> type_of(const ScalarExpr& expr) {
    if (expr->op == ScalarOp::kArg) return operands_[static_cast<size_t>(expr->index)];
    if (expr->op == ScalarOp::kNumber) return DType::kUndefined;
    auto known = done_.find(expr.node());
    if (known != done_.end()) return known->second;
    std::vector<DType> args;
    for (const ScalarExpr& arg : expr->args) args.push_back(TRY(type_of(arg)));
    DType type = DType::kUndefined;
    if (expr->op == ScalarOp::kCast) type = expr->dtype;
    else if (expr->op == ScalarOp::kSelect) {
      if (args[0] != DType::kBool && args[0] != DType::kUndefined) return wrong_type(expr->op, "bool", args[0]);
      type = TRY(unify(expr->op, args[1], args[2]));
    } else {
      type = TRY(type_by_rule(expr->op, args));
    }
    done_.emplace(expr.node(), type);
    return type;
  }

 private:
  std::span<const DType> operands_;
  std::unordered_map<const ScalarNode*, DType> done_;
};

}  // namespace

Result<DType> result_type(const ScalarExpr& expr, std::span<const DType> operand_types) {
  return Typing(operand_types).type_of(expr);
}

namespace {

// Products and sums with 0 and 1 left out.
ScalarExpr plus(const ScalarExpr& a, const ScalarExpr& b) {
  if (is_number(a, 0)) return b;
  if (is_number(b, 0)) return a;
  return a + b;
}

// The partial derivatives of one primitive times g; empty entries where it is piecewise constant.
std::vector<ScalarExpr> partials(const ScalarExpr& r, const ScalarExpr& g) {
  const ScalarExpr none;
  const auto& args = r->args;
  switch (r->op) {
    case ScalarOp::kSelect:
      return {none, select(args[0], g, 0.0), select(args[0], 0.0, g)};
    case ScalarOp::kCast:
      return {is_float(r->dtype) ? g : none};
    case ScalarOp::kArg:
    case ScalarOp::kNumber:
      return {};
#define SCALAR1(Name, function, rule, value, dx)               \
  case ScalarOp::k##Name: {                                    \
    [[maybe_unused]] const ScalarExpr& x = args[0];            \
    return {ScalarExpr(dx)};                                   \
  }
#define SCALAR2(Name, function, rule, value, dx, dy)           \
  case ScalarOp::k##Name: {                                    \
    [[maybe_unused]] const ScalarExpr &x = args[0], &y = args[1]; \
    return {ScalarExpr(dx), ScalarExpr(dy)};                   \
  }
#include "ir/scalar.def"
  }
  return {};
}

// Those of `parts` (in the order of parts_of) in which `operand` occurs.
std::unordered_set<const ScalarNode*> parts_with(const std::vector<ScalarExpr>& parts, int operand) {
  std::unordered_set<const ScalarNode*> dependent;
  for (const ScalarExpr& part : parts) {
    bool depends = part->op == ScalarOp::kArg && part->index == operand;
    for (const ScalarExpr& arg : part->args) depends |= dependent.contains(arg.node());
    if (depends) dependent.insert(part.node());
  }
  return dependent;
}

}  // namespace

ScalarExpr derivative(const ScalarExpr& expr, int operand, const ScalarExpr& upstream) {
  std::vector<ScalarExpr> order = parts_of(expr);
  std::unordered_set<const ScalarNode*> dependent = parts_with(order, operand);
  std::unordered_map<const ScalarNode*, ScalarExpr> adjoint;
  adjoint[expr.node()] = upstream;
  ScalarExpr result = 0.0;
  for (auto it = order.rbegin(); it != order.rend(); ++it) {
    const ScalarExpr& node = *it;
    auto g = adjoint.find(node.node());
    if (g == adjoint.end()) continue;
    if (node->op == ScalarOp::kArg && node->index == operand) result = plus(result, g->second);
    if (node->args.empty() || !dependent.contains(node.node())) continue;
    std::vector<ScalarExpr> parts = partials(node, g->second);
    for (size_t i = 0; i < parts.size(); ++i) {
      if (parts[i].empty() || !dependent.contains(node->args[i].node())) continue;
      auto [entry, is_new] = adjoint.try_emplace(node->args[i].node(), parts[i]);
      if (!is_new) entry->second = plus(entry->second, parts[i]);
    }
  }
  return result;
}

}  // namespace gannet
