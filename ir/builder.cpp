#include "ir/builder.h"

#include <algorithm>
#include <optional>

#include "ir/eval.h"
#include "ir/evaluate.h"
#include "ir/op.h"
#include "ir/vjp.h"

namespace gannet {

GraphBuilder::GraphBuilder(Graph& graph, Node* before, std::string name_prefix)
    : graph_(graph), before_(before), name_prefix_(std::move(name_prefix)) {}

void GraphBuilder::fail(Error error) {
  if (status_.ok()) status_ = std::move(error);
}

std::vector<Value*> GraphBuilder::op_n(std::string_view name, std::vector<Value*> operands, Attributes attrs, size_t output_count) {
  const OpDef& op = op_named(name);
  Node* node = graph_.add_node(op, std::move(operands), std::move(attrs), output_count, before_);
  if (!name_prefix_.empty()) node->name = fmt::format("{}/{}", name_prefix_, node->output()->name);
  if (status_.ok()) {
    Status inferred = infer_node(*node);
    if (!inferred.ok()) fail(inferred.error());
  }
  return {node->outputs().begin(), node->outputs().end()};
}

Value* GraphBuilder::op(std::string_view name, std::vector<Value*> operands, Attributes attrs) {
  return op_n(name, std::move(operands), std::move(attrs), 1)[0];
}

Value* GraphBuilder::constant(Tensor tensor) { return graph_.add_constant(std::move(tensor), "", before_); }

Value* GraphBuilder::number(double value, const Value* like) {
  DType dtype = like->type.dtype == DType::kUndefined ? DType::kF32 : like->type.dtype;
  if (dtype == DType::kString) {
    fail(invalid_model("takes numbers, got strings"));
    dtype = DType::kF32;
  }
  return constant(Tensor::scalar_of(dtype, value));
}

Value* GraphBuilder::ints(const std::vector<int64_t>& values) { return constant(Tensor::of_ints(values)); }

Value* GraphBuilder::dims(const Shape& shape) {
  if (is_static(shape)) return ints(static_extents(shape));
  return op("Dims", {}, {{"dims", shape}});
}

Value* GraphBuilder::map(ScalarExpr body, std::vector<Value*> operands) {
  return op("Map", std::move(operands), {{"body", std::move(body)}});
}

Value* GraphBuilder::cast(Value* x, DType dtype) {
  return x->type.dtype == dtype ? x : op("Cast", {x}, {{"to", dtype}});
}

Value* GraphBuilder::reshape(Value* x, const Shape& shape) {
  if (x->type.shape && *x->type.shape == shape) return x;
  return op("Reshape", {x, dims(shape)}, {{"allowzero", int64_t{1}}});
}

Value* GraphBuilder::expand(Value* x, const Shape& shape) {
  if (x->type.shape && *x->type.shape == shape) return x;
  return op("Expand", {x, dims(shape)});
}

Value* GraphBuilder::transpose(Value* x, std::vector<int64_t> permutation) {
  return op("Transpose", {x}, {{"perm", std::move(permutation)}});
}

Value* GraphBuilder::reduce(std::string_view op_name, Value* x, const std::vector<int64_t>& axes, bool keep_dims) {
  return op(op_name, {x, ints(axes)}, {{"keepdims", int64_t{keep_dims}}, {"noop_with_empty_axes", int64_t{1}}});
}

Value* GraphBuilder::unsqueeze(Value* x, const std::vector<int64_t>& axes) { return op("Unsqueeze", {x, ints(axes)}); }
Value* GraphBuilder::squeeze(Value* x, const std::vector<int64_t>& axes) { return op("Squeeze", {x, ints(axes)}); }

Value* GraphBuilder::slice(Value* x, std::vector<int64_t> starts, std::vector<int64_t> ends, std::vector<int64_t> axes,
                           std::vector<int64_t> steps) {
  std::vector<Value*> operands = {x, ints(starts), ints(ends), ints(axes)};
  if (!steps.empty()) operands.push_back(ints(steps));
  return op("Slice", std::move(operands));
}

Value* GraphBuilder::concat(std::vector<Value*> parts, int64_t axis) {
  return op("Concat", std::move(parts), {{"axis", axis}});
}

// The axes over which a sum of what has extents `from` gives `to`; nothing where a symbol may stand for 1 or not.
static std::optional<std::vector<int64_t>> summed_axes(const Shape& from, const Shape& to) {
  if (to.size() > from.size()) return std::nullopt;
  const size_t added = from.size() - to.size();
  std::vector<int64_t> axes;
  for (size_t i = 0; i < from.size(); ++i) {
    if (i >= added && from[i] == to[i - added]) continue;
    if (i >= added && !to[i - added].is_constant(1)) return std::nullopt;
    axes.push_back(static_cast<int64_t>(i));
  }
  return axes;
}

Value* GraphBuilder::sum_to(Value* x, const Shape& shape) {
  if (x->type.shape && *x->type.shape == shape) return x;
  if (x->type.shape) {
    if (const auto axes = summed_axes(*x->type.shape, shape)) {
      const size_t added = x->type.shape->size() - shape.size();
      if (std::ranges::all_of(*axes, [&](int64_t axis) { return axis < static_cast<int64_t>(added); })) return reduce_sum(x, *axes, false);
      Value* sum = reduce_sum(x, *axes, true);
      return added == 0 ? sum : reshape(sum, shape);
    }
  }
  return op("SumTo", {x, dims(shape)});
}

Value* GraphBuilder::sum_to_like(Value* x, Value* like) {
  return like->type.shape ? sum_to(x, *like->type.shape) : op("SumTo", {x, op("Shape", {like})});
}

Value* GraphBuilder::expand_like(Value* x, Value* like) {
  return like->type.shape ? expand(x, *like->type.shape) : op("Expand", {x, op("Shape", {like})});
}

Value* GraphBuilder::full(const Shape& shape, DType dtype, double value) {
  return expand(constant(Tensor::scalar_of(dtype, value)), shape);
}

namespace {

// A graph that holds nothing but the decomposition of one op on inputs of the given types.
struct Scratch {
  // Fresh symbols are to be fresh in the graph of the node as well; null where extents are integers.
  explicit Scratch(Symbols* symbols)
      : graph("decomposition", symbols ? std::shared_ptr<Symbols>(std::shared_ptr<void>(), symbols) : nullptr) {}

  Graph graph;
  std::vector<Value*> operands;
  std::vector<Value*> results;

  Status build(const OpDef& op, const Attributes& attrs, std::span<const Type* const> types,
               const std::function<const Tensor*(size_t)>& constant, size_t output_count) {
    for (size_t i = 0; i < types.size(); ++i) {
      const Tensor* known = types[i] ? constant(i) : nullptr;
      if (types[i] == nullptr) operands.push_back(nullptr);
      else if (known) operands.push_back(graph.add_constant(*known));
      else operands.push_back(graph.add_input(fmt::format("x{}", i), *types[i]));
    }
    GraphBuilder builder(graph);
    DecomposeContext context(builder, attrs, operands, output_count);
    TRY(op.decompose(context));
    TRY(Status(builder.status()));
    results = context.outputs();
    for (size_t i = 0; i < results.size(); ++i) {
      if (results[i]) graph.outputs.push_back({fmt::format("y{}", i), results[i]});
    }
    return {};
  }
};

}  // namespace

Status infer_by_decomposition(InferContext& context) {
  std::vector<const Type*> types;
  for (size_t i = 0; i < context.operand_count(); ++i) types.push_back(context.has(i) ? &context.type(i) : nullptr);
  Scratch scratch(&context.symbols());
  // Only small constants matter to inference: axes, shapes, modes.
  constexpr int64_t kSmall = 4096;
  auto constant = [&](size_t i) -> const Tensor* {
    const Tensor* tensor = context.constant(i);
    return tensor && tensor->elements() <= kSmall ? tensor : nullptr;
  };
  TRY(scratch.build(context.op(), context.attrs(), types, constant, context.output_count()));
  for (size_t i = 0; i < scratch.results.size(); ++i) {
    if (scratch.results[i] == nullptr) continue;
    context.set(i, scratch.results[i]->type);
    if (scratch.results[i]->contents) context.set_contents(i, *scratch.results[i]->contents);
  }
  return {};
}

Status eval_by_decomposition(EvalContext& context) {
  std::vector<Type> types(context.operand_count());
  std::vector<const Type*> type_pointers(context.operand_count(), nullptr);
  for (size_t i = 0; i < types.size(); ++i) {
    if (!context.has(i)) continue;
    types[i] = context.datum(i).type();
    type_pointers[i] = &types[i];
  }
  Scratch scratch(nullptr);
  auto constant = [&](size_t i) -> const Tensor* {
    return context.datum(i).is_tensor() ? &context.tensor(i) : nullptr;
  };
  TRY(scratch.build(context.op(), context.attrs(), type_pointers, constant, context.output_count()));
  std::vector<Datum> inputs;
  for (size_t i = 0; i < types.size(); ++i) {
    if (context.has(i) && !context.datum(i).is_tensor()) inputs.push_back(context.datum(i));
  }
  std::vector<Datum> results = TRY(context.services().run(scratch.graph, std::move(inputs)));
  size_t next = 0;
  for (size_t i = 0; i < scratch.results.size(); ++i) {
    if (scratch.results[i]) context.set(i, std::move(results[next++]));
  }
  return {};
}

bool VjpContext::wants(size_t i) const {
  const Value* value = operand(i);
  return value != nullptr && carries_gradient(value->type);
}

}  // namespace gannet
