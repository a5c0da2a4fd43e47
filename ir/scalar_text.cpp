// The text of scalar expressions: infix + - * / < <= == != && ||, unary - and !, functions by name, x0, x1, ... for
// operands, cast(x0, f32). Parentheses are printed only where precedence asks for them.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <unordered_map>

#include "ir/scalar.h"

namespace gannet {

namespace {

struct Infix {
  ScalarOp op;
  std::string_view symbol;
  int precedence;
};

constexpr Infix kInfix[] = {
    {ScalarOp::kOr, "||", 1},       {ScalarOp::kAnd, "&&", 2},   {ScalarOp::kEqual, "==", 3}, {ScalarOp::kNotEqual, "!=", 3},
    {ScalarOp::kLessEqual, "<=", 4}, {ScalarOp::kLess, "<", 4},  {ScalarOp::kAdd, "+", 5},    {ScalarOp::kSub, "-", 5},
    {ScalarOp::kMul, "*", 6},       {ScalarOp::kDiv, "/", 6},
};
constexpr int kUnaryPrecedence = 7;

const Infix* infix_of(ScalarOp op) {
  for (const Infix& infix : kInfix) {
    if (infix.op == op) return &infix;
  }
  return nullptr;
}

std::string number_text(const ScalarNode& node) {
  if (node.is_integer) return fmt::format("{}", node.integer);
  if (std::isnan(node.number)) return "nan";
  if (std::isinf(node.number)) return node.number > 0 ? "inf" : "-inf";
  std::string text = fmt::format("{}", node.number);
  bool looks_integer = text.find_first_of(".e") == std::string::npos;
  return looks_integer ? text + ".0" : text;
}

std::string print(const ScalarExpr& expr, int context) {
  if (expr->op == ScalarOp::kArg) return fmt::format("x{}", expr->index);
  if (expr->op == ScalarOp::kNumber) {
    std::string text = number_text(*expr.node());
    return text[0] == '-' && context > 0 ? "(" + text + ")" : text;
  }
  if (const Infix* infix = infix_of(expr->op)) {
    std::string text = fmt::format("{} {} {}", print(expr->args[0], infix->precedence), infix->symbol,
                                   print(expr->args[1], infix->precedence + 1));
    return infix->precedence < context ? "(" + text + ")" : text;
  }
  if (expr->op == ScalarOp::kNeg && expr->args[0]->op == ScalarOp::kNumber) {
    return "-(" + print(expr->args[0], 0) + ")";  // "-1" is a number
  }
  if (expr->op == ScalarOp::kNeg || expr->op == ScalarOp::kNot) {
    return (expr->op == ScalarOp::kNeg ? "-" : "!") + print(expr->args[0], kUnaryPrecedence + 1);
  }
  std::string text = std::string(name_of(expr->op)) + "(";
  for (size_t i = 0; i < expr->args.size(); ++i) text += (i ? ", " : "") + print(expr->args[i], 0);
  if (expr->op == ScalarOp::kCast) text += ", " + std::string(name_of(expr->dtype));
  return text + ")";
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<ScalarExpr> parse_all() {
    ScalarExpr expr = TRY(parse_infix(1));
    skip_space();
    if (at_ != text_.size()) return error("an operator or the end");
    return expr;
  }

 private:
  static constexpr int kDeepest = 200;    // parentheses and calls
  static constexpr int kTallest = 1024;   // operators along a path of the expression, a long sum included

  // The functions that walk expressions recur, so their height is bounded.
  Result<ScalarExpr> make(ScalarOp op, std::vector<ScalarExpr> args, DType dtype = DType::kUndefined) {
    int height = 0;
    for (const ScalarExpr& arg : args) height = std::max(height, heights_[arg.node()]);
    if (++height > kTallest) return error("fewer operators in a row");
    ScalarExpr expr = ScalarExpr::make(op, std::move(args), dtype);
    heights_[expr.node()] = height;
    kept_.push_back(expr);
    return expr;
  }

  Error error(std::string_view wanted) const {
    return invalid_input(fmt::format("scalar expression '{}': expected {} at column {}", text_, wanted, at_ + 1));
  }

  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }

  bool eat(std::string_view token) {
    skip_space();
    if (text_.substr(at_, token.size()) != token) return false;
    at_ += token.size();
    return true;
  }

  const Infix* eat_infix(int least) {
    skip_space();
    for (const Infix& infix : kInfix) {
      if (infix.precedence >= least && text_.substr(at_, infix.symbol.size()) == infix.symbol) {
        at_ += infix.symbol.size();
        return &infix;
      }
    }
    return nullptr;
  }

  Result<ScalarExpr> parse_infix(int least) {
    if (++depth_ > kDeepest) return error("less nesting");
    ScalarExpr left = TRY(parse_unary());
    while (const Infix* infix = eat_infix(least)) {
      ScalarExpr right = TRY(parse_infix(infix->precedence + 1));
      left = TRY(make(infix->op, {left, right}));
    }
    --depth_;
    return left;
  }

  Result<ScalarExpr> parse_unary() {
    skip_space();
    bool negative_number = at_ + 1 < text_.size() && text_[at_] == '-' && (std::isdigit(static_cast<unsigned char>(text_[at_ + 1])) || text_[at_ + 1] == 'i');
    if (negative_number) return parse_number();
    if (++depth_ > kDeepest) return error("less nesting");
    Result<ScalarExpr> result = parse_operand();
    --depth_;
    return result;
  }

  Result<ScalarExpr> parse_operand() {
    if (eat("-")) return make(ScalarOp::kNeg, {TRY(parse_unary())});
    if (eat("!")) return make(ScalarOp::kNot, {TRY(parse_unary())});
    if (eat("(")) {
      ScalarExpr inner = TRY(parse_infix(1));
      if (!eat(")")) return error("')'");
      return inner;
    }
    if (at_ < text_.size() && std::isdigit(static_cast<unsigned char>(text_[at_]))) return parse_number();
    return parse_name();
  }

  Result<ScalarExpr> parse_number() {
    if (eat("-inf")) return ScalarExpr(-HUGE_VAL);
    const char* begin = text_.data() + at_;
    const char* end = text_.data() + text_.size();
    int64_t integer = 0;
    auto as_integer = std::from_chars(begin, end, integer);
    double number = 0;
    auto as_double = std::from_chars(begin, end, number);
    if (as_double.ec != std::errc()) return error("a number");
    at_ += static_cast<size_t>(as_double.ptr - begin);
    if (as_integer.ec == std::errc() && as_integer.ptr == as_double.ptr) return ScalarExpr::integer(integer);
    return ScalarExpr(number);
  }

  std::string_view word() {
    skip_space();
    size_t start = at_;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '_')) ++at_;
    return text_.substr(start, at_ - start);
  }

  Result<ScalarExpr> parse_name() {
    std::string_view name = word();
    if (name == "inf") return ScalarExpr(HUGE_VAL);
    if (name == "nan") return ScalarExpr(std::nan(""));
    int index = 0;
    if (name.size() > 1 && name[0] == 'x' && std::isdigit(static_cast<unsigned char>(name[1]))) {
      auto parsed = std::from_chars(name.data() + 1, name.data() + name.size(), index);
      constexpr int kMostOperands = 1 << 16;
      bool whole = parsed.ec == std::errc() && parsed.ptr == name.data() + name.size();
      if (!whole || index > kMostOperands) return error("an operand such as x0");
      return ScalarExpr::arg(index);
    }
    ScalarOp op;
    if (!scalar_op_from_name(name, op) || arity_of(op) == 0) return error("a function");
    if (!eat("(")) return error("'('");
    std::vector<ScalarExpr> args;
    for (int i = 0; i < arity_of(op); ++i) {
      if (i > 0 && !eat(",")) return error("','");
      args.push_back(TRY(parse_infix(1)));
    }
    DType dtype = DType::kUndefined;
    if (op == ScalarOp::kCast) {
      if (!eat(",")) return error("','");
      std::optional<DType> named = dtype_from_name(word());
      if (!named) return error("an element type");
      dtype = *named;
    }
    if (!eat(")")) return error("')'");
    return make(op, std::move(args), dtype);
  }

  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
  std::unordered_map<const ScalarNode*, int> heights_;  // 0 for what is not here
  std::vector<ScalarExpr> kept_;                        // so that no address in heights_ is used again
};

}  // namespace

std::string to_string(const ScalarExpr& expr) { return print(expr, 0); }

Result<ScalarExpr> parse_scalar(std::string_view text) { return Parser(text).parse_all(); }

}  // namespace gannet
