// Sequences of tensors.
#include <fmt/format.h>

#include <algorithm>

#include "ir/ops/concat.h"
#include "ir/ops/indices.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"
#include "ir/ops/subgraph.h"
#include "ir/ops/subgraph_gradient.h"

namespace gannet {
namespace {

constexpr AttrDef kEmptyAttrs[] = {dtype_attr("dtype", DType::kF32)};
constexpr AttrDef kSplitAttrs[] = {int_attr("axis", 0), int_attr("keepdims", 1)};
constexpr AttrDef kConcatAttrs[] = {required_attr("axis", AttrKind::kInt), int_attr("new_axis", 0)};
constexpr AttrDef kMapAttrs[] = {required_attr("body", AttrKind::kGraph), int_attr("captures", 0)};

// The type of the elements of operand i, a sequence.
Result<Type> element_of(const InferContext& c, size_t i) {
  if (c.type(i).kind != Type::Kind::kSequence) {
    return invalid_model(fmt::format("input {} must be a sequence, got {}", i, to_string(c.type(i))));
  }
  return c.type(i).element ? *c.type(i).element : Type::tensor(DType::kUndefined);
}

// What elements of both types have in common. Elements may differ in shape, so only equal shapes are kept.
Result<Type> common_element(const Type& a, const Type& b) {
  if (!a.is_tensor() || !b.is_tensor()) return invalid_model(fmt::format("a sequence holds {} and {}", to_string(a), to_string(b)));
  if (a.dtype != b.dtype && a.dtype != DType::kUndefined && b.dtype != DType::kUndefined) {
    return invalid_model(fmt::format("a sequence holds {} and {}", to_string(a), to_string(b)));
  }
  return Type::tensor(a.dtype == DType::kUndefined ? b.dtype : a.dtype, a.shape == b.shape ? a.shape : std::nullopt);
}

Status expect_position(const InferContext& c, size_t i) {
  if (!c.has(i)) return {};
  if (!c.type(i).is_tensor()) return invalid_model(fmt::format("input {} (position) must be a tensor, got {}", i, to_string(c.type(i))));
  TRY(expect_index(c, i, "position"));
  return expect_single(c, i, "position");
}

// The element type that infer gave output i, a sequence.
Type output_element(const EvalContext& c, size_t i = 0) {
  const Type& type = c.output_type(i);
  return type.element ? *type.element : Type::tensor(DType::kUndefined);
}

Status infer_construct(InferContext& c) {
  TRY(expect_tensors(c, c.operand_count()));
  Type element = c.type(0);
  for (size_t i = 1; i < c.operand_count(); ++i) element = TRY(common_element(element, c.type(i)));
  c.set(0, Type::sequence(std::move(element)));
  return {};
}

Status eval_construct(EvalContext& c) {
  c.set(Datum::sequence(operands_from(c, 0), output_element(c)));
  return {};
}

Status infer_empty(InferContext& c) {
  c.set(0, Type::sequence(Type::tensor(c.attrs().dtype("dtype"))));
  return {};
}

Status eval_empty(EvalContext& c) {
  c.set(Datum::sequence({}, output_element(c)));
  return {};
}

Status infer_insert(InferContext& c) {
  Type element = TRY(element_of(c, 0));
  TRY(expect_position(c, 2));
  c.set(0, Type::sequence(TRY(common_element(element, c.type(1)))));
  return {};
}

Status eval_insert(EvalContext& c) {
  std::vector<Datum> elements = c.datum(0).elements();
  const auto count = static_cast<int64_t>(elements.size());
  int64_t position = c.has(2) ? c.tensor(2).int_at(0) : count;
  if (position < -count || position > count) {
    return invalid_input(fmt::format("position {} is outside of a sequence of {}", position, count));
  }
  if (position < 0) position += count;
  elements.insert(elements.begin() + position, c.datum(1));
  c.set(Datum::sequence(std::move(elements), output_element(c)));
  return {};
}

Status infer_erase(InferContext& c) {
  c.set(0, Type::sequence(TRY(element_of(c, 0))));
  return expect_position(c, 1);
}

Status eval_erase(EvalContext& c) {
  std::vector<Datum> elements = c.datum(0).elements();
  const auto count = static_cast<int64_t>(elements.size());
  const int64_t position = TRY(checked_index(c.has(1) ? c.tensor(1).int_at(0) : -1, count));
  elements.erase(elements.begin() + position);
  c.set(Datum::sequence(std::move(elements), output_element(c)));
  return {};
}

Status infer_at(InferContext& c) {
  c.set(0, TRY(element_of(c, 0)));
  return expect_position(c, 1);
}

Status eval_at(EvalContext& c) {
  const std::vector<Datum>& elements = c.datum(0).elements();
  const int64_t position = TRY(checked_index(c.tensor(1).int_at(0), static_cast<int64_t>(elements.size())));
  c.set(elements[static_cast<size_t>(position)]);
  return {};
}

Status infer_length(InferContext& c) {
  TRY(element_of(c, 0));
  c.set_tensor(0, DType::kI64, Shape{});
  return {};
}

Status eval_length(EvalContext& c) {
  c.set(Tensor::scalar<int64_t>(static_cast<int64_t>(c.datum(0).elements().size())));
  return {};
}

Status infer_split_to_sequence(InferContext& c) {
  TRY(expect_tensors(c, 1));
  if (c.has(1)) {
    TRY(expect_index(c, 1, "split"));
    if (c.shape(1) && c.shape(1)->size() > 1) TRY(expect_list(c, 1, "split"));
  }
  std::optional<Shape> shape;
  if (const Shape* x = c.shape(0)) {
    const int64_t axis = TRY(normalize_axis(c.attrs().integer("axis"), static_cast<int64_t>(x->size())));
    if (!c.has(1)) {
      shape = *x;
      if (c.attrs().integer("keepdims")) (*shape)[static_cast<size_t>(axis)] = Dim(1);
      else shape->erase(shape->begin() + axis);
    }
  }
  c.set(0, Type::sequence(Type::tensor(c.dtype(0), std::move(shape))));
  return {};
}

// Extents of the parts along an axis of `extent`.
Result<std::vector<int64_t>> part_extents(EvalContext& c, int64_t extent) {
  if (!c.has(1)) return std::vector<int64_t>(static_cast<size_t>(extent), 1);
  const Tensor& split = c.tensor(1);
  std::vector<int64_t> parts = split.ints();
  if (split.rank() == 0) {
    const int64_t size = parts[0];
    if (size < 1) return invalid_input(fmt::format("split {} is no size of a part", size));
    parts.assign(static_cast<size_t>(extent / size), size);
    if (extent % size) parts.push_back(extent % size);
    return parts;
  }
  int64_t rest = extent;
  for (int64_t part : parts) {
    if (part < 0 || part > rest) return invalid_input(fmt::format("split {} does not fit an extent of {}", to_string(std::span<const int64_t>(parts)), extent));
    rest -= part;
  }
  if (rest) return invalid_input(fmt::format("split {} leaves {} of an extent of {}", to_string(std::span<const int64_t>(parts)), rest, extent));
  return parts;
}

Status eval_split_to_sequence(EvalContext& c) {
  const Tensor& x = c.tensor(0);
  const int64_t axis = TRY(normalize_axis(c.attrs().integer("axis"), x.rank()));
  // An empty tensor has room for any number of parts; each still takes memory.
  constexpr int64_t kMostParts = int64_t{1} << 24;
  if (x.elements() == 0 && x.extent(axis) > kMostParts) return unsupported(fmt::format("a split into up to {} parts", x.extent(axis)));
  const std::vector<int64_t> parts = TRY(part_extents(c, x.extent(axis)));
  std::vector<Datum> elements;
  int64_t first = 0;
  for (int64_t count : parts) {
    Tensor part = TRY(take_along(c, x, axis, first, count));
    if (!c.has(1) && !c.attrs().integer("keepdims")) {
      std::vector<int64_t> extents = x.extents();
      extents.erase(extents.begin() + axis);
      part = part.reshaped(std::move(extents));
    }
    elements.push_back(std::move(part));
    first += count;
  }
  c.set(Datum::sequence(std::move(elements), output_element(c)));
  return {};
}

Status infer_concat_from_sequence(InferContext& c) {
  const Type element = TRY(element_of(c, 0));
  if (!element.is_tensor()) return invalid_model(fmt::format("cannot join elements of type {}", to_string(element)));
  const int64_t new_axis = c.attrs().integer("new_axis");
  if (new_axis != 0 && new_axis != 1) return invalid_model(fmt::format("new_axis {} is neither 0 nor 1", new_axis));
  std::optional<Shape> shape = element.shape;
  if (shape) {
    const int64_t axis = TRY(normalize_axis(c.attrs().integer("axis"), static_cast<int64_t>(shape->size()) + new_axis));
    if (new_axis) shape->insert(shape->begin() + axis, c.fresh("joined"));
    else (*shape)[static_cast<size_t>(axis)] = c.fresh("joined");
  }
  c.set_tensor(0, element.dtype, std::move(shape));
  return {};
}

Status eval_concat_from_sequence(EvalContext& c) {
  const std::vector<Datum>& elements = c.datum(0).elements();
  if (elements.empty()) return invalid_input("cannot join an empty sequence");
  std::vector<Tensor> parts;
  for (const Datum& element : elements) {
    if (!element.is_tensor()) return invalid_input(fmt::format("cannot join elements of type {}", to_string(element.type())));
    parts.push_back(element.tensor());
  }
  if (c.attrs().integer("new_axis")) {
    c.set(TRY(stack_tensors(c, elements, elements[0].type(), c.attrs().integer("axis"), false)));
  } else {
    c.set(TRY(concat_tensors(c, parts, TRY(normalize_axis(c.attrs().integer("axis"), parts[0].rank())))));
  }
  return {};
}

Status infer_map(InferContext& c) {
  const size_t captures = TRY(capture_count(c, 1));
  Graph* body = TRY(checked_subgraph(c, "body", c.operand_count(), c.output_count()));
  std::vector<Type> inputs = {TRY(element_of(c, 0))};
  for (size_t i = 1; i < c.operand_count() - captures; ++i) {
    if (!c.has(i)) return invalid_model(fmt::format("input {} is absent", i));
    inputs.push_back(c.type(i).kind == Type::Kind::kSequence ? TRY(element_of(c, i)) : c.type(i));
  }
  for (Type& type : TRY(capture_types(c, captures))) inputs.push_back(std::move(type));
  const std::vector<Type> outputs = TRY(infer_body(c, *body, inputs, captures));
  for (size_t i = 0; i < c.output_count(); ++i) {
    if (!outputs[i].is_tensor()) return invalid_model(fmt::format("output {} of the body must be a tensor, got {}", i, to_string(outputs[i])));
    c.set(i, outside_type(c, Type::sequence(outputs[i])));
  }
  return {};
}

Status eval_map(EvalContext& c) {
  const Graph& body = *c.attrs().graph("body");
  const size_t mapped = c.operand_count() - static_cast<size_t>(c.attrs().integer("captures"));
  const size_t count = c.datum(0).elements().size();
  std::vector<std::vector<Datum>> results(c.output_count());
  for (size_t k = 0; k < count; ++k) {
    std::vector<Datum> inputs = operands_from(c, 0);
    for (size_t i = 0; i < mapped; ++i) {
      if (inputs[i].kind() != Datum::Kind::kSequence) continue;
      if (inputs[i].elements().size() != count) {
        return invalid_input(fmt::format("sequences of {} and {} elements are mapped together", count, inputs[i].elements().size()));
      }
      Datum element = inputs[i].elements()[k];
      inputs[i] = std::move(element);
    }
    std::vector<Datum> outputs = TRY(c.services().run(body, std::move(inputs)));
    for (size_t i = 0; i < results.size(); ++i) results[i].push_back(std::move(outputs[i]));
  }
  for (size_t i = 0; i < results.size(); ++i) c.set(i, Datum::sequence(std::move(results[i]), output_element(c, i)));
  return {};
}

// The gradient of a sequence is the sequence of the gradients of its elements.
Status construct_vjp(VjpContext& c) {
  for (size_t i = 0; i < c.node().inputs().size(); ++i) {
    if (c.wants(i)) c.set(i, c.b.op("SequenceAt", {c.gradient(), c.b.constant(Tensor::scalar<int64_t>(static_cast<int64_t>(i)))}));
  }
  return c.b.status();
}

// A position counted from the first element, however it was given.
Value* from_first(VjpContext& c, Value* position) {
  ScalarExpr p = ScalarExpr::arg(0), length = ScalarExpr::arg(1);
  Value* number = c.b.cast(c.b.reshape(position, {}), DType::kI64);
  return c.b.map(select(p < 0, p + length, p), {number, c.b.op("SequenceLength", {c.operand(0)})});
}

Status insert_vjp(VjpContext& c) {
  Value* position = c.operand(2) ? from_first(c, c.operand(2)) : c.b.constant(Tensor::scalar<int64_t>(-1));
  c.set(0, c.b.op("SequenceErase", {c.gradient(), position}));
  if (c.wants(1)) c.set(1, c.b.op("SequenceAt", {c.gradient(), position}));
  return c.b.status();
}

Status erase_vjp(VjpContext& c) {
  Value* position = c.operand(1) ? from_first(c, c.operand(1)) : nullptr;
  Value* erased = c.b.op("SequenceAt", {c.operand(0), position ? position : c.b.constant(Tensor::scalar<int64_t>(-1))});
  c.set(0, c.b.op("SequenceInsert", {c.gradient(), zeros_like(c.b, erased), position}));
  return c.b.status();
}

Status at_vjp(VjpContext& c) {
  Value* position = from_first(c, c.operand(1));
  Value* others = c.b.op("SequenceErase", {zeros_like(c.b, c.operand(0)), position});
  c.set(0, c.b.op("SequenceInsert", {others, c.gradient(), position}));
  return c.b.status();
}

Status split_to_sequence_vjp(VjpContext& c) {
  if (!c.wants(0)) return {};
  const int64_t new_axis = !c.operand(1) && c.attrs().integer("keepdims") == 0;
  Value* dx = c.b.op("ConcatFromSequence", {c.gradient()}, {{"axis", c.attrs().integer("axis")}, {"new_axis", new_axis}});
  c.set(0, c.b.reshape(dx, TRY(known_shape(c.operand(0), "the input"))));
  return c.b.status();
}

Status concat_from_sequence_vjp(VjpContext& c) {
  const int64_t axis = c.attrs().integer("axis");
  if (c.attrs().integer("new_axis")) {
    c.set(0, c.b.op("SplitToSequence", {c.gradient()}, {{"axis", axis}, {"keepdims", int64_t{0}}}));
    return c.b.status();
  }
  Value* lengths = map_elements(c.b, {c.operand(0)}, [axis](GraphBuilder& b, const std::vector<Value*>& x) {
    return b.op("Gather", {b.op("Shape", {x[0]}), b.ints({axis})});
  });
  Value* split = c.b.op("ConcatFromSequence", {lengths}, {{"axis", int64_t{0}}});
  c.set(0, c.b.op("SplitToSequence", {c.gradient(), split}, {{"axis", axis}}));
  return c.b.status();
}

}  // namespace

constinit const StructuredOp ops::SequenceConstruct = {
    .inputs = {1, kVariadic}, .outputs = {1, 1}, .attrs = {}, .infer = infer_construct, .eval = eval_construct};
constinit const GradientRule gradients::SequenceConstruct = {.vjp = construct_vjp};
constinit const StructuredOp ops::SequenceEmpty = {
    .inputs = {0, 0}, .outputs = {1, 1}, .attrs = kEmptyAttrs, .infer = infer_empty, .eval = eval_empty, .no_gradient = "no operands"};
constinit const StructuredOp ops::SequenceInsert = {
    .inputs = {2, 3}, .outputs = {1, 1}, .attrs = {}, .infer = infer_insert, .eval = eval_insert};
constinit const GradientRule gradients::SequenceInsert = {.vjp = insert_vjp};
constinit const StructuredOp ops::SequenceErase = {
    .inputs = {1, 2}, .outputs = {1, 1}, .attrs = {}, .infer = infer_erase, .eval = eval_erase};
constinit const GradientRule gradients::SequenceErase = {.vjp = erase_vjp};
constinit const StructuredOp ops::SequenceAt = {
    .inputs = {2, 2}, .outputs = {1, 1}, .attrs = {}, .infer = infer_at, .eval = eval_at};
constinit const GradientRule gradients::SequenceAt = {.vjp = at_vjp};
constinit const StructuredOp ops::SequenceLength = {
    .inputs = {1, 1}, .outputs = {1, 1}, .attrs = {}, .infer = infer_length, .eval = eval_length, .no_gradient = "a length is an integer"};
constinit const StructuredOp ops::SplitToSequence = {.inputs = {1, 2}, .outputs = {1, 1}, .attrs = kSplitAttrs,
    .infer = infer_split_to_sequence, .eval = eval_split_to_sequence};
constinit const GradientRule gradients::SplitToSequence = {.vjp = split_to_sequence_vjp};
constinit const StructuredOp ops::ConcatFromSequence = {.inputs = {1, 1}, .outputs = {1, 1}, .attrs = kConcatAttrs,
    .infer = infer_concat_from_sequence, .eval = eval_concat_from_sequence};
constinit const GradientRule gradients::ConcatFromSequence = {.vjp = concat_from_sequence_vjp};
constinit const StructuredOp ops::SequenceMap = {.inputs = {1, kVariadic}, .outputs = {1, kVariadic}, .attrs = kMapAttrs,
    .infer = infer_map, .eval = eval_map};
constinit const GradientRule gradients::SequenceMap = {.vjp = sequence_map_vjp};

}  // namespace gannet
