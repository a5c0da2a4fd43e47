// Canonical forms of elementwise ops.
#include <algorithm>
#include <cmath>

#include "ir/op.h"
#include "passes/canonicalize_rules.h"

namespace gannet {

namespace {

bool is_float_node(const Rewrite& r) { return r.type().is_tensor() && is_float(r.type().dtype); }

// The operand itself where the other is this constant; the driver drops it when broadcasting gives another
// type.
Value* without_right(Rewrite& r, double neutral) {
  const std::optional<double> right = constant_number(r.operand(1));
  return right == neutral ? r.operand(0) : nullptr;
}

Value* constant_to_the_right(Rewrite& r) {
  if (r.node->inputs().size() != 2 || !is_constant(r.operand(0)) || is_constant(r.operand(1))) return nullptr;
  r.graph.set_operands(r.node, {r.operand(1), r.operand(0)});
  r.changed = true;
  return nullptr;
}

Value* add_zero(Rewrite& r) { return without_right(r, 0); }
Value* times_one(Rewrite& r) { return without_right(r, 1); }

// x + -y
Value* add_negated(Rewrite& r) {
  if (Node* negated = producer_of(r.operand(1), "Neg")) return r.b.sub(r.operand(0), negated->input(0));
  if (Node* negated = producer_of(r.operand(0), "Neg")) return r.b.sub(r.operand(1), negated->input(0));
  return nullptr;
}

// x - c is x + -c, exactly.
Value* subtract_constant(Rewrite& r) {
  constexpr int64_t kMostElements = 1 << 16;
  const Tensor* constant = r.operand(1)->constant();
  if (!constant || is_constant(r.operand(0)) || constant->elements() > kMostElements) return nullptr;
  Tensor negated = *constant;
  const bool done = visit_dtype(negated.dtype(), [&]<class T>(Tag<T>) {
    if constexpr (std::is_floating_point_v<T>) {
      for (T& element : negated.mutable_data<T>()) element = -element;
      return true;
    } else if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>) {
      for (T& element : negated.mutable_data<T>()) element = T(-static_cast<float>(element));
      return true;
    } else if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
      for (T& element : negated.mutable_data<T>())
        element = static_cast<T>(uint64_t{0} - static_cast<uint64_t>(element));
      return true;
    } else {
      return false;
    }
  });
  return done ? r.b.add(r.operand(0), r.b.constant(std::move(negated))) : nullptr;
}

Value* subtract_negated(Rewrite& r) {
  Node* negated = producer_of(r.operand(1), "Neg");
  return negated ? r.b.add(r.operand(0), negated->input(0)) : nullptr;
}

// x / c is x * (1 / c), exactly, for powers of two whose reciprocal is a normal number.
Value* divide_by_power_of_two(Rewrite& r) {
  constexpr int64_t kMostElements = 1 << 16;
  const Tensor* constant = r.operand(1)->constant();
  if (!is_float_node(r) || !constant || is_constant(r.operand(0)) || constant->elements() > kMostElements)
    return nullptr;
  if (constant->elements() == 0) return nullptr;
  Tensor inverse = Tensor::zeros(DType::kF64, constant->extents());
  auto values = inverse.mutable_data<double>();
  for (int64_t i = 0; i < constant->elements(); ++i) {
    int exponent = 0;
    const double value = constant->double_at(i);
    const bool exact =
        std::isfinite(value) && std::abs(std::frexp(value, &exponent)) == 0.5 && std::abs(exponent) < 14;
    if (!exact) return nullptr;
    values[static_cast<size_t>(i)] = 1 / value;
  }
  Result<Tensor> narrowed = convert(inverse, constant->dtype());
  return narrowed.ok() ? r.b.mul(r.operand(0), r.b.constant(std::move(*narrowed))) : nullptr;
}

Value* one_over(Rewrite& r) {
  const bool applies = is_float_node(r) && single_number(r.operand(0)) == 1.0;
  return applies ? r.b.op("Reciprocal", {r.operand(1)}) : nullptr;
}

// (x * a) * b and (x + a) + b for single numbers.
Value* merge_scalars(Rewrite& r) {
  const std::string_view op = r.node->op().name;
  Node* inner = producer_of(r.operand(0), op);
  if (!inner || !is_float_node(r)) return nullptr;
  const std::optional<double> a = single_number(inner->input(1)), b = single_number(r.operand(1));
  if (!a || !b) return nullptr;
  const double merged = op == "Mul" ? *a * *b : *a + *b;
  // Outside of what a half holds, the order in which factors apply may decide about overflow.
  if (!(std::abs(merged) < 1e4 && (std::abs(merged) > 1e-4 || op == "Add"))) return nullptr;
  return r.b.op(op, {inner->input(0), r.b.number(merged, inner->input(0))});
}

Value* power(Rewrite& r) {
  const std::optional<double> exponent = constant_number(r.operand(1));
  Value* x = r.operand(0);
  if (!exponent || is_constant(x)) return nullptr;
  if (*exponent == 1) return x;
  if (!is_float_node(r) || x->type != r.type()) return nullptr;
  if (*exponent == 2) return r.b.mul(x, x);
  if (*exponent == 3) return r.b.mul(r.b.mul(x, x), x);
  if (*exponent == 0.5) return r.b.op("Sqrt", {x});
  if (*exponent == -1) return r.b.op("Reciprocal", {x});
  if (*exponent == -0.5) return r.b.op("Reciprocal", {r.b.op("Sqrt", {x})});
  return nullptr;
}

// An op that undoes itself.
Value* applied_twice(Rewrite& r) {
  Node* inner = producer_of(r.operand(0), r.node->op().name);
  return inner ? inner->input(0) : nullptr;
}

// An op that changes nothing when it is applied again.
Value* idempotent(Rewrite& r) {
  return producer_of(r.operand(0), r.node->op().name) ? r.operand(0) : nullptr;
}

Value* fold_variadic(Rewrite& r, std::string_view binary) {
  std::vector<Value*> operands;
  for (Value* operand : r.node->inputs()) {
    if (operand) operands.push_back(operand);
  }
  if (operands.size() == 2 && r.node->op().name == binary && r.node->inputs().size() == 2) return nullptr;
  Value* result = operands.empty() ? nullptr : operands[0];
  for (size_t i = 1; i < operands.size(); ++i) result = r.b.op(binary, {result, operands[i]});
  return result;
}

Value* sum_by_pairs(Rewrite& r) { return fold_variadic(r, "Add"); }
Value* max_by_pairs(Rewrite& r) { return fold_variadic(r, "Max"); }
Value* min_by_pairs(Rewrite& r) { return fold_variadic(r, "Min"); }

// A bound of Clip for the node's operand 0.
Value* bound(Rewrite& r, double value) { return r.b.number(value, r.operand(0)); }

// Max and Min with one number are Clip.
Value* clip_from(Rewrite& r) {
  const bool is_max = r.node->op().name == "Max";
  if (r.node->inputs().size() != 2 || !is_float_node(r) || is_constant(r.operand(0))) return nullptr;
  const std::optional<double> limit = single_number(r.operand(1));
  if (!limit || std::isnan(*limit)) return nullptr;
  if (is_max) return r.b.op("Clip", {r.operand(0), bound(r, *limit)});
  return r.b.op("Clip", {r.operand(0), nullptr, bound(r, *limit)});
}

struct ClipRange {
  double low, high;
};

// The range that a node limits its operand to.
std::optional<ClipRange> range_of(const Node* node) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (!node) return std::nullopt;
  if (node->op().name == "Relu") return ClipRange{0, kInfinity};
  if (node->op().name != "Clip") return std::nullopt;
  ClipRange range{-kInfinity, kInfinity};
  for (size_t i : {size_t{1}, size_t{2}}) {
    if (!node->input(i)) continue;
    const std::optional<double> number = single_number(node->input(i));
    if (!number || std::isnan(*number)) return std::nullopt;
    (i == 1 ? range.low : range.high) = *number;
  }
  return range.low <= range.high ? std::optional(range) : std::nullopt;
}

Value* clip_to(Rewrite& r, Value* x, ClipRange range) {
  if (std::isinf(range.low) && std::isinf(range.high) && range.low < range.high) return x;
  if (range.low == 0 && std::isinf(range.high)) return r.b.op("Relu", {x});
  Value* low = std::isinf(range.low) && range.low < 0 ? nullptr : bound(r, range.low);
  Value* high = std::isinf(range.high) && range.high > 0 ? nullptr : bound(r, range.high);
  if (!high) return r.b.op("Clip", {x, low});
  return r.b.op("Clip", {x, low, high});
}

Value* clip(Rewrite& r) {
  const std::optional<ClipRange> outer = range_of(r.node);
  if (!is_float_node(r) || !outer) return nullptr;
  const Node* before = r.operand(0)->producer();
  if (const std::optional<ClipRange> inner = range_of(before)) {
    const ClipRange both{std::clamp(inner->low, outer->low, outer->high),
                         std::clamp(inner->high, outer->low, outer->high)};
    return clip_to(r, before->input(0), both);
  }
  const bool is_relu = outer->low == 0 && std::isinf(outer->high),
             is_nothing = std::isinf(outer->low) && std::isinf(outer->high);
  const bool has_idle_bound =
      (r.operand(1) && std::isinf(outer->low)) || (r.operand(2) && std::isinf(outer->high));
  if (r.node->op().name == "Relu" || !(is_relu || is_nothing || has_idle_bound)) return nullptr;
  return clip_to(r, r.operand(0), *outer);
}

// Elementwise ops broadcast on their own.
Value* drop_expand(Rewrite& r) {
  if (!r.node->op().body && r.node->op().name != "Map") return nullptr;
  if (!r.type().shape) return nullptr;
  for (size_t i = 0; i < r.node->inputs().size(); ++i) {
    Node* expand = producer_of(r.operand(i), "Expand");
    if (!expand || !expand->input(0)->type.shape || !expand->input(1)->contents) continue;
    Shape shape;
    bool known = true;
    for (size_t k = 0; known && k < r.node->inputs().size(); ++k) {
      const Value* operand = k == i ? expand->input(0) : r.operand(k);
      if (!operand) continue;
      Result<Shape> wider = operand->type.shape ? broadcast_shapes(shape, *operand->type.shape)
                                                : Result<Shape>(invalid_model(""));
      known = wider.ok();
      if (known) shape = std::move(*wider);
    }
    if (!known || shape != *r.type().shape) continue;
    r.graph.set_operand(r.node, i, expand->input(0));
    r.changed = true;
  }
  return nullptr;
}

constexpr RewriteRow kRules[] = {
    {"Add", constant_to_the_right},
    {"Mul", constant_to_the_right},
    {"Max", constant_to_the_right},
    {"Min", constant_to_the_right},
    {"And", constant_to_the_right},
    {"Or", constant_to_the_right},
    {"Xor", constant_to_the_right},
    {"Equal", constant_to_the_right},
    {"BitwiseAnd", constant_to_the_right},
    {"BitwiseOr", constant_to_the_right},
    {"BitwiseXor", constant_to_the_right},
    {"Add", add_zero},
    {"Sub", add_zero},
    {"Mul", times_one},
    {"Div", times_one},
    {"And", times_one},
    {"Or", add_zero},
    {"Xor", add_zero},
    {"BitwiseOr", add_zero},
    {"BitwiseXor", add_zero},
    {"Add", add_negated},
    {"Sub", subtract_negated},
    {"Sub", subtract_constant},
    {"Div", divide_by_power_of_two},
    {"Div", one_over},
    {"Mul", merge_scalars},
    {"Add", merge_scalars},
    {"Pow", power},
    {"Neg", applied_twice},
    {"Not", applied_twice},
    {"BitwiseNot", applied_twice},
    {"Abs", idempotent},
    {"Floor", idempotent},
    {"Ceil", idempotent},
    {"Round", idempotent},
    {"Sign", idempotent},
    {"Sum", sum_by_pairs},
    {"Max", max_by_pairs},
    {"Min", min_by_pairs},
    {"Max", clip_from},
    {"Min", clip_from},
    {"Clip", clip},
    {"Relu", clip},
    {"", drop_expand},
};

}  // namespace

std::span<const RewriteRow> arithmetic_rules() { return kRules; }

}  // namespace gannet
