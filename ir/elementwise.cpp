#include "ir/elementwise.h"

#include <algorithm>
#include <unordered_set>

#include "ir/dim_scalar.h"
#include "ir/ops/ops.h"

namespace gannet {

namespace {

// Which operands of a node are given; a scalar body numbers just those.
std::vector<size_t> present_operands(const auto& context) {
  std::vector<size_t> present;
  for (size_t i = 0; i < context.operand_count(); ++i) {
    if (context.has(i)) present.push_back(i);
  }
  return present;
}

ScalarExpr body_for(const auto& context) {
  if (context.op().body == nullptr) return context.attrs().scalar("body");
  std::vector<ScalarExpr> operands;
  int next = 0;
  for (size_t i = 0; i < context.operand_count(); ++i) {
    operands.push_back(context.has(i) ? ScalarExpr::arg(next++) : ScalarExpr());
  }
  return context.op().body({operands, context.attrs()});
}

bool accepts(uint8_t types, DType dtype) {
  if (is_float(dtype)) return types & kFloats;
  if (is_int(dtype)) return types & kInts;
  if (dtype == DType::kBool) return types & kBools;
  if (dtype == DType::kString) return types & kStrings;
  return dtype == DType::kUndefined || (types == kAny);
}

// Where and PRelu mix types by design; the scalar rules check the rest.
Status check_types(const InferContext& context, const std::vector<size_t>& present) {
  for (size_t i : present) {
    if (!context.type(i).is_tensor()) {
      return invalid_model(fmt::format("input {} must be a tensor, got {}", i, to_string(context.type(i))));
    }
    if (!accepts(context.op().types, context.dtype(i))) {
      return invalid_model(fmt::format("input {} cannot be {}", i, name_of(context.dtype(i))));
    }
  }
  return {};
}

// Whether `value` is a number of the integer type, so that arithmetic of unbounded dimensions gave what the type does.
bool fits(const Dim& value, DType dtype) {
  if (dtype == DType::kI64) return true;
  if (!value.is_constant()) return dtype == DType::kI32;
  int64_t number = value.constant(), bits = element_bits(dtype);
  if (dtype == DType::kU64) return number >= 0;
  if (is_unsigned_int(dtype)) return number >= 0 && number < (int64_t{1} << bits);
  return number >= -(int64_t{1} << (bits - 1)) && number < (int64_t{1} << (bits - 1));
}

Status infer_contents(InferContext& context, const ScalarExpr& body, const std::vector<size_t>& present, DType dtype,
                      const Shape& shape) {
  if (shape.size() > 1 || !is_static(shape) || !(is_int(dtype) || dtype == DType::kBool)) return {};
  std::vector<std::vector<Dim>> operands;
  for (size_t i : present) {
    std::optional<std::vector<Dim>> contents = context.contents(i);
    if (!contents) return {};
    operands.push_back(std::move(*contents));
  }
  size_t count = shape.empty() ? 1 : static_cast<size_t>(shape[0].constant());
  std::vector<Dim> result;
  for (size_t element = 0; element < count; ++element) {
    std::vector<Dim> arguments;
    for (const auto& operand : operands) arguments.push_back(operand[operand.size() == 1 ? 0 : element]);
    std::optional<Dim> value = evaluate_over_dims(body, arguments);
    if (!value || (is_int(dtype) && !fits(*value, dtype))) return {};
    result.push_back(std::move(*value));
  }
  context.set_contents(0, std::move(result));
  return {};
}

// Strings know only equality and selection.
Result<std::string> string_element(const ScalarExpr& expr, std::span<const Datum> operands, std::span<const int64_t> at);

Result<bool> bool_element(const ScalarExpr& expr, std::span<const Datum> operands, std::span<const int64_t> at) {
  if (expr->op == ScalarOp::kArg) {
    const Tensor& tensor = operands[static_cast<size_t>(expr->index)].tensor();
    return tensor.int_at(at[static_cast<size_t>(expr->index)]) != 0;
  }
  if (expr->op == ScalarOp::kEqual) {
    return TRY(string_element(expr->args[0], operands, at)) == TRY(string_element(expr->args[1], operands, at));
  }
  return unsupported(fmt::format("{} of strings", name_of(expr->op)));
}

Result<std::string> string_element(const ScalarExpr& expr, std::span<const Datum> operands, std::span<const int64_t> at) {
  if (expr->op == ScalarOp::kArg) {
    const Tensor& tensor = operands[static_cast<size_t>(expr->index)].tensor();
    return tensor.data<std::string>()[static_cast<size_t>(at[static_cast<size_t>(expr->index)])];
  }
  if (expr->op == ScalarOp::kSelect) {
    return string_element(expr->args[TRY(bool_element(expr->args[0], operands, at)) ? 1 : 2], operands, at);
  }
  return unsupported(fmt::format("{} of strings", name_of(expr->op)));
}

Status eval_strings(const ScalarExpr& body, std::span<const Datum> operands, Tensor& result) {
  std::vector<std::vector<int64_t>> strides;
  for (const Datum& operand : operands) {
    strides.push_back(broadcast_strides(operand.tensor().extents(), result.extents()));
  }
  std::vector<int64_t> index(result.extents().size(), 0), at(operands.size(), 0);
  for (int64_t i = 0; i < result.elements(); ++i) {
    if (result.dtype() == DType::kBool) {
      result.mutable_data<bool>()[static_cast<size_t>(i)] = TRY(bool_element(body, operands, at));
    } else {
      result.mutable_data<std::string>()[static_cast<size_t>(i)] = TRY(string_element(body, operands, at));
    }
    for (size_t axis = index.size(); axis-- > 0;) {
      ++index[axis];
      for (size_t k = 0; k < at.size(); ++k) at[k] += strides[k][axis];
      if (index[axis] < result.extents()[axis]) break;
      for (size_t k = 0; k < at.size(); ++k) at[k] -= strides[k][axis] * index[axis];
      index[axis] = 0;
    }
  }
  return {};
}

void mark_operands(const ScalarExpr& expr, std::vector<bool>& used, std::unordered_set<const ScalarNode*>& seen) {
  if (!seen.insert(expr.node()).second) return;
  if (expr->op == ScalarOp::kArg) used[static_cast<size_t>(expr->index)] = true;
  for (const ScalarExpr& arg : expr->args) mark_operands(arg, used, seen);
}

Status infer_map(InferContext& context) { return infer_elementwise(context); }
Status eval_map(EvalContext& context) { return eval_elementwise(context); }

constexpr AttrDef kMapAttrs[] = {required_attr("body", AttrKind::kScalar)};

}  // namespace

constinit const StructuredOp ops::Map = {
    .inputs = {0, kVariadic}, .outputs = {1, 1}, .attrs = kMapAttrs,
    .infer = infer_map, .eval = eval_map};
constinit const GradientRule gradients::Map = {.vjp = elementwise_vjp};

Status infer_elementwise(InferContext& context) {
  std::vector<size_t> present = present_operands(context);
  // A body over n operands is n operators tall, and the functions that walk it recur.
  constexpr size_t kMostOperands = 1024;
  if (present.size() > kMostOperands) {
    return unsupported(fmt::format("{} inputs, at most {} can be combined", present.size(), kMostOperands));
  }
  TRY(check_types(context, present));
  ScalarExpr body = body_for(context);
  if (operand_count(body) > static_cast<int>(present.size())) {
    return invalid_model(fmt::format("the body uses {} operands, {} are given", operand_count(body), present.size()));
  }
  std::vector<DType> dtypes;
  bool all_known = true;
  for (size_t i : present) {
    dtypes.push_back(context.dtype(i));
    all_known &= context.dtype(i) != DType::kUndefined;
  }
  // An operand of unknown type counts as a literal, which fits everything.
  DType dtype = TRY(result_type(body, dtypes));
  if (all_known && dtype == DType::kUndefined) dtype = DType::kF32;  // literals only
  std::optional<Shape> shape = Shape{};
  for (size_t i : present) {
    const Shape* operand = context.shape(i);
    if (operand == nullptr) shape.reset();
    else if (shape) shape = TRY(broadcast_shapes(*shape, *operand));
  }
  if (shape) TRY(infer_contents(context, body, present, dtype, *shape));
  context.set_tensor(0, dtype, std::move(shape));
  return {};
}

Status eval_elementwise(EvalContext& context) {
  ScalarExpr body = body_for(context);
  std::vector<Datum> operands;
  std::vector<Tensor> tensors;
  bool strings = false;
  for (size_t i : present_operands(context)) {
    operands.push_back(context.datum(i));
    tensors.push_back(context.tensor(i));
    strings |= context.tensor(i).dtype() == DType::kString;
  }
  Tensor result = TRY(context.allocate());
  if (strings) TRY(eval_strings(body, operands, result));
  else TRY(evaluate_scalar(body, tensors, result));
  context.set(std::move(result));
  return {};
}

// `body` over just those operands that occur in it, as one node.
static Value* map_over_used(GraphBuilder& b, const ScalarExpr& body, const std::vector<Value*>& operands) {
  if (body->op == ScalarOp::kArg) return operands[static_cast<size_t>(body->index)];
  std::vector<bool> used(operands.size(), false);
  std::unordered_set<const ScalarNode*> seen;
  mark_operands(body, used, seen);
  std::vector<Value*> kept;
  std::vector<ScalarExpr> renumbered(operands.size());
  for (size_t i = 0; i < operands.size(); ++i) {
    if (!used[i]) continue;
    renumbered[i] = ScalarExpr::arg(static_cast<int>(kept.size()));
    kept.push_back(operands[i]);
  }
  return b.map(substitute(body, renumbered), std::move(kept));
}

Status elementwise_vjp(VjpContext& context) {
  const Node& node = context.node();
  std::vector<Value*> operands;
  std::vector<size_t> positions;
  std::vector<ScalarExpr> args;
  for (size_t i = 0; i < node.inputs().size(); ++i) {
    Value* operand = node.input(i);
    args.push_back(operand ? ScalarExpr::arg(static_cast<int>(operands.size())) : ScalarExpr());
    if (operand == nullptr) continue;
    // The exponent of Pow has a type of its own; derivatives mix it with the base.
    DType dtype = operand->type.dtype, result = node.output()->type.dtype;
    bool mixes = node.op().body && dtype != result && (is_float(dtype) || is_int(dtype)) && is_float(result);
    if (mixes) args.back() = cast(args.back(), result);
    operands.push_back(operand);
    positions.push_back(i);
  }
  ScalarExpr body = node.op().body ? node.op().body({args, node.attrs}) : node.attrs.scalar("body");
  ScalarExpr upstream = ScalarExpr::arg(static_cast<int>(operands.size()));
  std::vector<Value*> with_gradient = operands;
  with_gradient.push_back(context.gradient());
  for (size_t k = 0; k < operands.size(); ++k) {
    if (!is_float(operands[k]->type.dtype)) continue;
    ScalarExpr partial = derivative(body, static_cast<int>(k), upstream);
    if (partial->op == ScalarOp::kNumber && partial->number == 0) continue;
    Value* full = context.b.cast(map_over_used(context.b, partial, with_gradient), operands[k]->type.dtype);
    context.set(positions[k], context.b.sum_to_like(full, operands[k]));
  }
  return {};
}

}  // namespace gannet
