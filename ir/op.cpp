#include "ir/op.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <unordered_map>

#include "ir/base/nearest.h"
#include "ir/elementwise.h"
#include "ir/ops/ops.h"

namespace gannet {

namespace {

// Vocabulary of the bodies in ops.def.
using namespace scalar;  // NOLINT(google-build-using-namespace): the rows read as mathematics

ScalarExpr clamp(const ScalarExpr& x, double low, double high) {
  return select(x <= low, low, select(x >= high, high, x));
}

// x where x <= 0, else 0, with the gradient of x at 0.
ScalarExpr negative_part(const ScalarExpr& x) { return select(x <= 0, x, 0); }

// The gradient passes at the bounds, as in PyTorch.
ScalarExpr clip(const ScalarExpr& x, const ScalarExpr& low, const ScalarExpr& high) {
  ScalarExpr result = low.empty() ? x : select(x < low, low, x);
  return high.empty() ? result : select(result > high, high, result);
}

ScalarExpr gelu_erf(const ScalarExpr& x) { return 0.5 * x * (1 + erf(x * 0.70710678118654752440)); }

ScalarExpr gelu_tanh(const ScalarExpr& x) {
  return 0.5 * x * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
}

ScalarExpr is_infinite(const ScalarExpr& x, bool negative, bool positive) {
  const double infinity = std::numeric_limits<double>::infinity();
  ScalarExpr none = logical_not(x == x || x != x);
  ScalarExpr is_positive = positive ? x == infinity : none;
  return negative ? is_positive || x == -infinity : is_positive;
}

template <class... Defs>
constexpr auto attr_list(Defs... defs) {
  return std::array<AttrDef, sizeof...(Defs)>{defs...};
}

ScalarExpr operand(const BodyArgs& args, size_t i) { return i < args.operands.size() ? args.operands[i] : ScalarExpr(); }

// One namespace-like struct a row: its attributes and its body.
#define ROW(Name, list, body)                                                                      \
  constexpr auto k##Name##Attrs = attr_list(list);                                                 \
  ScalarExpr body_of_##Name(const BodyArgs& args) {                                                \
    [[maybe_unused]] const Attributes& attrs = args.attrs;                                         \
    [[maybe_unused]] auto number = [&](std::string_view attr) { return ScalarExpr(double(attrs.number(attr))); }; \
    [[maybe_unused]] ScalarExpr x = operand(args, 0), y = operand(args, 1), z = operand(args, 2);  \
    return body;                                                                                   \
  }
#define UNARY(Name, since, types, list, body) ROW(Name, ATTRS(list), body)
#define BINARY(Name, since, types, list, body) ROW(Name, ATTRS(list), body)
#define TERNARY(Name, since, types, list, body) ROW(Name, ATTRS(list), body)
#define OPTIONAL3(Name, since, types, list, body) ROW(Name, ATTRS(list), body)
#define VARIADIC(Name, since, types, body)                                                \
  constexpr std::array<AttrDef, 0> k##Name##Attrs{};                                      \
  ScalarExpr body_of_##Name(const BodyArgs& args) {                                       \
    ScalarExpr x = operand(args, 0);                                                      \
    for (size_t i = 1; i < args.operands.size(); ++i) {                                   \
      ScalarExpr y = args.operands[i];                                                    \
      if (!y.empty()) x = body;                                                                           \
    }                                                                                     \
    return x;                                                                             \
  }
#include "ir/ops.def"

OpDef elementwise(std::string_view name, int since, Arity arity, uint8_t types, std::span<const AttrDef> attrs, BodyFn body) {
  OpDef def;
  def.name = name;
  def.since = since;
  def.inputs = arity;
  def.attrs = attrs;
  def.infer = infer_elementwise;
  def.eval = eval_elementwise;
  def.body = body;
  def.types = types;
  return def;
}

OpDef structured(std::string_view name, int since, const StructuredOp& op) {
  CHECK(op.decompose || (op.infer && op.eval), "op {} has no meaning", name);
  OpDef def;
  def.name = name;
  def.since = since;
  def.inputs = op.inputs;
  def.outputs = op.outputs;
  def.attrs = op.attrs;
  def.infer = op.infer ? op.infer : infer_by_decomposition;
  def.eval = op.eval ? op.eval : eval_by_decomposition;
  def.no_gradient = op.no_gradient;
  def.decompose = op.decompose;
  def.flops = op.flops;
  def.random = op.random;
  return def;
}

struct OpTable {
  std::vector<OpDef> rows;
  std::unordered_map<std::string_view, const OpDef*> by_name;

  OpTable() {
#define UNARY(Name, since, types, list, body) rows.push_back(elementwise(#Name, since, {1, 1}, types, k##Name##Attrs, body_of_##Name));
#define BINARY(Name, since, types, list, body) rows.push_back(elementwise(#Name, since, {2, 2}, types, k##Name##Attrs, body_of_##Name));
#define TERNARY(Name, since, types, list, body) rows.push_back(elementwise(#Name, since, {3, 3}, types, k##Name##Attrs, body_of_##Name));
#define OPTIONAL3(Name, since, types, list, body) rows.push_back(elementwise(#Name, since, {1, 3}, types, k##Name##Attrs, body_of_##Name));
#define VARIADIC(Name, since, types, body) rows.push_back(elementwise(#Name, since, {1, kVariadic}, types, k##Name##Attrs, body_of_##Name));
#define OP(Name, since) rows.push_back(structured(#Name, since, ops::Name));
#include "ir/ops.def"
    std::sort(rows.begin(), rows.end(), [](const OpDef& a, const OpDef& b) { return a.name < b.name; });
    for (const OpDef& row : rows) by_name.emplace(row.name, &row);
  }
};

const OpTable& op_table() {
  static const OpTable table;
  return table;
}

}  // namespace

const OpDef* find_op(std::string_view name) {
  auto entry = op_table().by_name.find(name);
  return entry == op_table().by_name.end() ? nullptr : entry->second;
}

const OpDef& op_named(std::string_view name) {
  const OpDef* op = find_op(name);
  CHECK(op != nullptr, "there is no op {}", name);
  return *op;
}

std::span<const OpDef> all_ops() { return op_table().rows; }

std::string nearest_op(std::string_view name) {
  std::vector<std::string_view> names;
  for (const OpDef& op : all_ops()) names.push_back(op.name);
  return nearest(name, names);
}

std::optional<Dim> flops_of(const Node& node) {
  for (const Value* value : node.inputs()) {
    if (value && !value->type.shape) return std::nullopt;
  }
  if (node.op().flops) return node.op().flops(node);
  bool elementwise = node.op().body != nullptr || node.op().name == "Map";
  if (!elementwise) return Dim(0);
  if (!node.output()->type.shape) return std::nullopt;
  return element_count(*node.output()->type.shape);
}

ScalarExpr body_of(const OpDef& op, const Attributes& attrs, std::span<const bool> present) {
  CHECK(op.body != nullptr, "{} is not elementwise", op.name);
  std::vector<ScalarExpr> operands;
  int next = 0;
  for (bool is_present : present) operands.push_back(is_present ? ScalarExpr::arg(next++) : ScalarExpr());
  return op.body({operands, attrs});
}

}  // namespace gannet
