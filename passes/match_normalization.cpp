#include "passes/match_normalization.h"

#include <algorithm>
#include <cmath>

#include "ir/op.h"

namespace gannet {
namespace {

struct Mean {
  Value* of = nullptr;
  std::vector<int64_t> axes;
};

// The number of elements that a reduction over `axes` sums, where it is known.
std::optional<double> count_of(const Value& x, const std::vector<int64_t>& axes) {
  double count = 1;
  for (int64_t axis : axes) {
    const Dim& dim = (*x.type.shape)[static_cast<size_t>(axis)];
    if (!dim.is_constant()) return std::nullopt;
    count *= static_cast<double>(dim.constant());
  }
  return count;
}

// ReduceMean, or ReduceSum over the number of elements; dimensions are kept.
std::optional<Mean> mean_of(const Value* value) {
  const Node* node = value ? value->producer() : nullptr;
  if (!node) return std::nullopt;
  double factor = 1;
  if (node->op().name == "Mul" || node->op().name == "Div") {
    const auto number = constant_number(node->input(1));
    if (!number || *number == 0 || !node->input(0)->producer()) return std::nullopt;
    factor = node->op().name == "Mul" ? *number : 1 / *number;
    node = node->input(0)->producer();
  }
  const bool sums = node->op().name == "ReduceSum";
  if ((!sums && node->op().name != "ReduceMean") || node->attrs.integer("keepdims") == 0) return std::nullopt;
  const auto axes = reduction_axes(*node);
  if (!axes) return std::nullopt;
  const auto count = sums ? count_of(*node->input(0), *axes) : std::optional<double>(1);
  if (!count || !is_near(factor * *count, 1, DType::kF32)) return std::nullopt;
  return Mean{node->input(0), *axes};
}

// x where `value` is x - mean(x) over `axes`.
Value* uncentered(const Value* value, const std::vector<int64_t>& axes) {
  const Node* sub = producer_of(value, "Sub");
  if (!sub) return nullptr;
  const auto mean = mean_of(sub->input(1));
  return mean && mean->of == sub->input(0) && mean->axes == axes ? sub->input(0) : nullptr;
}

struct Spread {
  Value* x = nullptr;
  std::vector<int64_t> axes;
  double epsilon = 0;
  bool centered = false;
};

// mean(d * d) + epsilon, where d is x or x less its mean.
std::optional<Spread> spread_of(const Value* value) {
  Spread spread;
  if (const Node* add = producer_of(value, "Add")) {
    const auto right = constant_number(add->input(1)), left = constant_number(add->input(0));
    if (!right && !left) return std::nullopt;
    spread.epsilon = right ? *right : *left;
    value = add->input(right ? 0 : 1);
  }
  const auto mean = mean_of(value);
  const Node* square = mean ? mean->of->producer() : nullptr;
  if (!square) return std::nullopt;
  Value* first = square->input(0);
  Value* second = square->op().name == "Mul" ? square->input(1) : nullptr;
  if (square->op().name == "Pow" && constant_number(square->input(1)) == 2) second = first;
  if (!second) return std::nullopt;
  spread.axes = mean->axes;
  spread.x = first;
  Value* x = uncentered(first, spread.axes);
  if (x && uncentered(second, spread.axes) == x) {
    spread.x = x;
    spread.centered = true;
    return spread;
  }
  return first == second ? std::optional(spread) : std::nullopt;
}

// The operand of a square root; nothing for other nodes.
std::optional<Spread> deviation(Value* value) {
  if (const Node* root = producer_of(value, "Sqrt")) return spread_of(root->input(0));
  const Node* pow = producer_of(value, "Pow");
  return pow && constant_number(pow->input(1)) == 0.5 ? spread_of(pow->input(0)) : std::nullopt;
}

std::optional<Spread> inverse_deviation(Value* value) {
  if (const Node* node = producer_of(value, "Reciprocal")) return deviation(node->input(0));
  if (const Node* node = producer_of(value, "Div")) {
    return constant_number(node->input(0)) == 1 ? deviation(node->input(1)) : std::nullopt;
  }
  if (const Node* node = producer_of(value, "Sqrt")) {
    const Node* inverse = producer_of(node->input(0), "Reciprocal");
    return inverse ? spread_of(inverse->input(0)) : std::nullopt;
  }
  const Node* pow = producer_of(value, "Pow");
  return pow && constant_number(pow->input(1)) == -0.5 ? spread_of(pow->input(0)) : std::nullopt;
}

struct Scale {
  Spread spread;
  Value* factor = nullptr;
};

// 1 / deviation, alone or times a factor.
std::optional<Scale> scale_of(Value* value) {
  if (auto spread = inverse_deviation(value)) return Scale{std::move(*spread), nullptr};
  const Node* mul = producer_of(value, "Mul");
  for (size_t i = 0; mul && i < 2; ++i) {
    if (auto spread = inverse_deviation(mul->input(i))) return Scale{std::move(*spread), mul->input(1 - i)};
  }
  return std::nullopt;
}

// True when `value` is what is scaled: x, or x less its mean.
bool is_numerator(const Spread& spread, Value* value) {
  return spread.centered ? uncentered(value, spread.axes) == spread.x : value == spread.x;
}

Normalized normalized(Node& root, const Spread& spread, Value* factor, Value* shift = nullptr) {
  return {&root, spread.x, spread.axes, spread.epsilon, spread.centered, factor, shift};
}

// numerator / deviation, where a factor may stand in the numerator.
std::optional<Normalized> match_quotient(Node& node) {
  const auto spread = deviation(node.input(1));
  if (!spread) return std::nullopt;
  if (is_numerator(*spread, node.input(0))) return normalized(node, *spread, nullptr);
  const Node* mul = producer_of(node.input(0), "Mul");
  for (size_t i = 0; mul && i < 2; ++i) {
    if (is_numerator(*spread, mul->input(i))) return normalized(node, *spread, mul->input(1 - i));
  }
  return std::nullopt;
}

std::optional<Normalized> match_product(Node& node) {
  for (size_t i = 0; i < 2; ++i) {
    const auto scale = scale_of(node.input(i));
    if (scale && is_numerator(scale->spread, node.input(1 - i))) return normalized(node, scale->spread, scale->factor);
  }
  return std::nullopt;
}

// x * scale + (shift - mean * scale), as TensorFlow writes it; without a shift, x * scale - mean * scale.
std::optional<Normalized> match_affine(Node& node) {
  const bool is_sub = node.op().name == "Sub";
  for (size_t i = 0; i < (is_sub ? 1 : 2); ++i) {
    const Node* main = producer_of(node.input(i), "Mul");
    Node* rest = node.input(1 - i)->producer();
    Value* shift = nullptr;
    if (!is_sub) {
      rest = producer_of(node.input(1 - i), "Sub");
      if (!rest) continue;
      shift = rest->input(0);
      rest = rest->input(1)->producer();
    }
    if (!main || !rest || rest->op().name != "Mul") continue;
    for (size_t k = 0; k < 2; ++k) {
      const auto scale = scale_of(main->input(k));
      if (!scale || !scale->spread.centered || main->input(1 - k) != scale->spread.x) continue;
      const Value* other = other_operand(*rest, main->input(k));
      const auto mean = other ? mean_of(other) : std::nullopt;
      if (mean && mean->of == scale->spread.x && mean->axes == scale->spread.axes) return normalized(node, scale->spread, scale->factor, shift);
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<Normalized> match_normalized(Node& node) {
  const std::string_view op = node.op().name;
  std::optional<Normalized> found;
  if (op == "Div") found = match_quotient(node);
  if (op == "Mul") found = match_product(node);
  if (op == "Add" || op == "Sub") found = match_affine(node);
  return found && same_tensor_type(found->x, node.output()) ? found : std::nullopt;
}

bool are_trailing(const std::vector<int64_t>& axes, int64_t rank) {
  for (size_t i = 0; i < axes.size(); ++i) {
    if (axes[i] != rank - static_cast<int64_t>(axes.size() - i)) return false;
  }
  return !axes.empty();
}

bool is_trailing_parameter(const Value* value, const Shape& shape, int64_t axis) {
  if (!value->type.shape || value->type.shape->size() > shape.size()) return false;
  const Shape& own = *value->type.shape;
  for (size_t i = 0; i < own.size(); ++i) {
    const size_t at = shape.size() - own.size() + i;
    if (own[i].is_constant(1)) continue;
    if (static_cast<int64_t>(at) < axis || own[i] != shape[at]) return false;
  }
  return true;
}

bool is_channel_parameter(const Value* value, const Shape& shape) {
  if (!value->type.shape || value->type.shape->size() > shape.size() || value->type.shape->size() + 1 < shape.size()) return false;
  const Shape& own = *value->type.shape;
  for (size_t i = 0; i < own.size(); ++i) {
    const size_t at = shape.size() - own.size() + i;
    if (at == 1 ? own[i] != shape[1] : !own[i].is_constant(1)) return false;
  }
  return true;
}

Value* reshaped(GraphBuilder& b, Value* value, const Shape& shape) {
  if (value->type.shape && *value->type.shape == shape) return value;
  const Tensor* tensor = value->constant();
  return tensor && is_static(shape) ? b.constant(tensor->reshaped(static_extents(shape))) : b.reshape(value, shape);
}

Value* trimmed(GraphBuilder& b, Value* value, int64_t rank) {
  const Shape& shape = *value->type.shape;
  const size_t kept = static_cast<size_t>(rank);
  return shape.size() <= kept ? value : reshaped(b, value, Shape(shape.end() - rank, shape.end()));
}

Node* only_user(const Graph& graph, const Value* value, std::string_view op) {
  if (value->uses().size() != 1 || graph.is_result(value)) return nullptr;
  Node* user = value->uses()[0].node;
  return user->op().name == op && other_operand(*user, value) ? user : nullptr;
}

}  // namespace gannet
