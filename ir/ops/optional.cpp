// Optional values.
#include <fmt/format.h>

#include "ir/ops/ops.h"

namespace gannet {
namespace {

constexpr AttrDef kOptionalAttrs[] = {optional_attr("type", AttrKind::kType)};

Status infer_optional(InferContext& c) {
  if (c.has(0)) {
    if (c.type(0).kind == Type::Kind::kOptional) return invalid_model("an optional cannot hold an optional");
    c.set(0, Type::optional(c.type(0)));
    return {};
  }
  if (!c.attrs().has("type")) return invalid_model("an empty optional needs the attribute 'type'");
  c.set(0, Type::optional(c.attrs().type("type")));
  return {};
}

Status eval_optional(EvalContext& c) {
  if (c.has(0)) c.set(Datum::optional(c.datum(0)));
  else c.set(Datum::empty_optional(c.attrs().type("type")));
  return {};
}

Status infer_get(InferContext& c) {
  const Type& type = c.type(0);
  if (type.kind != Type::Kind::kOptional) c.set(0, type);
  else c.set(0, type.element ? *type.element : Type::tensor(DType::kUndefined));
  return {};
}

Status eval_get(EvalContext& c) {
  const Datum& x = c.datum(0);
  if (x.kind() == Datum::Kind::kOptional && !x.has_element()) return invalid_input("the optional is empty");
  c.set(x.kind() == Datum::Kind::kOptional ? x.element() : x);
  return {};
}

Status infer_has(InferContext& c) {
  c.set_tensor(0, DType::kBool, Shape{});
  return {};
}

Status eval_has(EvalContext& c) {
  const bool present = c.has(0) && (c.datum(0).kind() != Datum::Kind::kOptional || c.datum(0).has_element());
  c.set(Tensor::scalar<bool>(present));
  return {};
}

// The gradient of an optional is that of what it holds.
Status passing_vjp(VjpContext& c) {
  c.set(0, c.gradient());
  return {};
}

}  // namespace

constinit const StructuredOp ops::Optional = {
    .inputs = {0, 1}, .outputs = {1, 1}, .attrs = kOptionalAttrs, .infer = infer_optional, .eval = eval_optional};
constinit const GradientRule gradients::Optional = {.vjp = passing_vjp};
constinit const StructuredOp ops::OptionalGetElement = {
    .inputs = {1, 1}, .outputs = {1, 1}, .attrs = {}, .infer = infer_get, .eval = eval_get};
constinit const GradientRule gradients::OptionalGetElement = {.vjp = passing_vjp};
constinit const StructuredOp ops::OptionalHasElement = {
    .inputs = {0, 1}, .outputs = {1, 1}, .attrs = {}, .infer = infer_has, .eval = eval_has, .no_gradient = "a truth value"};

}  // namespace gannet
