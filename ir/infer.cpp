#include "ir/infer.h"

#include <algorithm>

namespace gannet {

InferContext::InferContext(const OpDef& op, const Attributes& attrs, std::span<const InferOperand> operands,
                           size_t output_count, Symbols& symbols, bool evaluating)
    : op_(op), attrs_(attrs), operands_(operands), types_(output_count), contents_(output_count), symbols_(symbols),
      evaluating_(evaluating) {}

const Type& InferContext::type(size_t i) const {
  CHECK(has(i), "operand {} of {} is absent", i, op_.name);
  return *operands_[i].type;
}

const Shape* InferContext::shape(size_t i) const {
  const Type& t = type(i);
  return t.is_tensor() && t.shape ? &*t.shape : nullptr;
}

const Tensor* InferContext::constant(size_t i) const { return has(i) ? operands_[i].constant : nullptr; }

std::optional<std::vector<Dim>> InferContext::contents(size_t i) const {
  if (!has(i)) return std::nullopt;
  if (operands_[i].contents) return *operands_[i].contents;
  const Tensor* tensor = operands_[i].constant;
  constexpr int64_t kMostElements = 1 << 20;
  if (tensor == nullptr || tensor->rank() > 1 || tensor->elements() > kMostElements) return std::nullopt;
  if (!is_int(tensor->dtype()) && tensor->dtype() != DType::kBool) return std::nullopt;
  std::vector<Dim> dims;
  for (int64_t value : tensor->ints()) dims.emplace_back(value);
  return dims;
}

std::optional<std::vector<int64_t>> InferContext::ints(size_t i) const {
  std::optional<std::vector<Dim>> dims = contents(i);
  if (!dims || !is_static(*dims)) return std::nullopt;
  return static_extents(*dims);
}

void InferContext::set(size_t i, Type type) {
  if (i < types_.size()) types_[i] = std::move(type);
}

void InferContext::set_contents(size_t i, std::vector<Dim> contents) {
  if (i < contents_.size()) contents_[i] = std::move(contents);
}

static std::string count_of(Arity arity) {
  if (arity.max == kVariadic) return fmt::format("at least {}", arity.min);
  if (arity.min == arity.max) return fmt::format("{}", arity.min);
  return fmt::format("{} to {}", arity.min, arity.max);
}

static Status check_arity(const InferContext& context) {
  const OpDef& op = context.op();
  size_t given = context.operand_count();
  bool too_many = op.inputs.max != kVariadic && given > static_cast<size_t>(op.inputs.max);
  bool too_few = given < static_cast<size_t>(op.inputs.min);
  if (too_many || too_few) return invalid_model(fmt::format("takes {} inputs, got {}", count_of(op.inputs), given));
  for (size_t i = 0; i < static_cast<size_t>(op.inputs.min); ++i) {
    if (!context.has(i)) return invalid_model(fmt::format("input {} is required", i));
  }
  size_t wanted = context.output_count();
  bool unnamed = wanted < static_cast<size_t>(op.outputs.min);
  if (unnamed || (op.outputs.max != kVariadic && wanted > static_cast<size_t>(op.outputs.max))) {
    return invalid_model(fmt::format("gives {} outputs, {} are named", count_of(op.outputs), wanted));
  }
  return {};
}

Status infer(InferContext& context) {
  TRY(check_arity(context));
  for (const AttrDef& def : context.op().attrs) {
    if (def.required && !context.attrs().has(def.name)) {
      return invalid_model(fmt::format("attribute '{}' is required", def.name));
    }
  }
  return context.op().infer(context);
}

std::string describe(const Node& node) {
  if (node.name.empty()) return fmt::format("{}: ", node.op().name);
  return fmt::format("node '{}' ({}): ", node.name, node.op().name);
}

Status infer_node(Node& node) {
  std::vector<InferOperand> operands;
  operands.reserve(node.inputs().size());
  for (const Value* value : node.inputs()) {
    if (value) operands.push_back({&value->type, value->constant(), value->contents ? &*value->contents : nullptr});
    else operands.push_back({});
  }
  InferContext context(node.op(), node.attrs, operands, node.outputs().size(), *node.graph().symbols());
  Status status = infer(context);
  if (!status.ok()) return with_prefix(describe(node), status.error());
  for (size_t i = 0; i < node.outputs().size(); ++i) {
    Value* output = node.output(i);
    if (output == nullptr) continue;
    output->type = std::move(context.types()[i]);
    output->contents = std::move(context.output_contents()[i]);
  }
  return {};
}

Status infer_graph(Graph& graph) {
  for (const auto& node : graph.nodes()) TRY(infer_node(*node));
  return {};
}

Result<Shape> broadcast_shapes(const Shape& a, const Shape& b) {
  size_t rank = std::max(a.size(), b.size());
  Shape result(rank);
  for (size_t i = 0; i < rank; ++i) {
    Dim x = i < rank - a.size() ? Dim(1) : a[i - (rank - a.size())];
    Dim y = i < rank - b.size() ? Dim(1) : b[i - (rank - b.size())];
    if (x.is_constant() && y.is_constant() && x != y && !x.is_constant(1) && !y.is_constant(1)) {
      return invalid_model(fmt::format("shapes {} and {} do not broadcast: {} against {}", to_string(std::span<const Dim>(a)),
                                       to_string(std::span<const Dim>(b)), x.to_string(), y.to_string()));
    }
    result[i] = broadcast(x, y);
  }
  return result;
}

Result<int64_t> normalize_axis(int64_t axis, int64_t rank) {
  if (axis < -rank || axis >= rank) return invalid_model(fmt::format("axis {} is outside a rank of {}", axis, rank));
  return axis < 0 ? axis + rank : axis;
}

Result<std::vector<int64_t>> normalize_axes(std::span<const int64_t> axes, int64_t rank) {
  std::vector<int64_t> result;
  for (int64_t axis : axes) result.push_back(TRY(normalize_axis(axis, rank)));
  std::sort(result.begin(), result.end());
  auto twice = std::adjacent_find(result.begin(), result.end());
  if (twice != result.end()) return invalid_model(fmt::format("axis {} is given twice", *twice));
  return result;
}

Result<Shape> merge_shapes(const Shape& a, const Shape& b) {
  if (a.size() != b.size()) {
    return invalid_model(fmt::format("rank {} against rank {} ({} and {})", a.size(), b.size(),
                                     to_string(std::span<const Dim>(a)), to_string(std::span<const Dim>(b))));
  }
  Shape result = a;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].is_constant() && b[i].is_constant() && a[i] != b[i]) {
      return invalid_model(fmt::format("dimension {} is {} and {}", i, a[i].to_string(), b[i].to_string()));
    }
    if (b[i].is_constant()) result[i] = b[i];
  }
  return result;
}

Result<Type> merge_types(const Type& a, const Type& b) {
  if (a.kind != b.kind) return invalid_model(fmt::format("{} against {}", to_string(a), to_string(b)));
  if (!a.is_tensor()) {
    if (!a.element || !b.element) return a.element ? a : b;
    Type merged = a;
    merged.element = std::make_shared<const Type>(TRY(merge_types(*a.element, *b.element)));
    return merged;
  }
  if (a.dtype != b.dtype && a.dtype != DType::kUndefined && b.dtype != DType::kUndefined) {
    return invalid_model(fmt::format("element type {} against {}", name_of(a.dtype), name_of(b.dtype)));
  }
  Type merged = a.dtype == DType::kUndefined ? Type::tensor(b.dtype, a.shape) : a;
  if (!a.shape) merged.shape = b.shape;
  else if (b.shape) merged.shape = TRY(merge_shapes(*a.shape, *b.shape));
  return merged;
}

Status expect_rank(const InferContext& context, size_t i, int64_t rank, std::string_view role) {
  const Shape* shape = context.shape(i);
  if (shape == nullptr || static_cast<int64_t>(shape->size()) == rank) return {};
  return invalid_model(fmt::format("input {} ({}) must have rank {}, got {}", i, role, rank, to_string(context.type(i))));
}

Status expect_float(const InferContext& context, size_t i, std::string_view role) {
  if (is_float(context.dtype(i)) || context.dtype(i) == DType::kUndefined) return {};
  return invalid_model(fmt::format("input {} ({}) must be floating point, got {}", i, role, to_string(context.type(i))));
}

Status expect_same_dtype(const InferContext& context, size_t i, size_t j) {
  DType a = context.dtype(i), b = context.dtype(j);
  if (a == b || a == DType::kUndefined || b == DType::kUndefined) return {};
  return invalid_model(fmt::format("inputs {} and {} must have one element type, got {} and {}", i, j, name_of(a), name_of(b)));
}

Result<std::vector<Type>> infer_subgraph(Graph& graph, std::span<const Type> input_types) {
  CHECK(input_types.size() == graph.inputs().size(), "{} types for {} subgraph inputs", input_types.size(), graph.inputs().size());
  for (size_t i = 0; i < input_types.size(); ++i) graph.inputs()[i]->type = input_types[i];
  TRY(infer_graph(graph));
  std::vector<Type> types;
  for (const GraphOutput& output : graph.outputs) types.push_back(output.value->type);
  return types;
}

}  // namespace gannet
