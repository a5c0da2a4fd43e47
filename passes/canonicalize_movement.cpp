// Canonical forms of ops that move data or change how it is seen.
#include <algorithm>
#include <numeric>

#include "ir/op.h"
#include "passes/canonicalize_rules.h"

namespace gannet {

namespace {

Value* operand_itself(Rewrite& r) { return r.operand(0); }

// The operand where the result has its type; for ops that can only do something by changing the type.
Value* same_type(Rewrite& r) {
  return r.operand(0)->type == r.type() && r.type().shape ? r.operand(0) : nullptr;
}

bool states_shape(const Value* shape_operand, const Shape& shape) {
  const Node* producer = shape_operand->producer();
  const bool leaf = producer && (producer->op().name == "Constant" || producer->op().name == "Dims");
  return leaf && shape_operand->contents && *shape_operand->contents == shape;
}

// False where the result's type is what the model declares and its operands decide only in the run, which
// then checks.
bool is_decided(const Rewrite& r) { return !r.operand(1) || r.operand(1)->contents; }

// Any change of shape is a Reshape of what was not reshaped before, to a shape that is stated outright.
Value* reshape(Rewrite& r) {
  if (!r.type().is_tensor() || !r.type().shape || !is_decided(r)) return nullptr;
  const Shape& shape = *r.type().shape;
  Value* source = r.operand(0);
  while (source->producer() && source->producer()->op().name == "Reshape")
    source = source->producer()->input(0);
  const bool is_reshape = r.node->op().name == "Reshape";
  if (source->type == r.type()) return source;
  if (is_reshape && source == r.operand(0) && r.node->attrs.integer("allowzero") != 0 &&
      states_shape(r.operand(1), shape))
    return nullptr;
  if (!r.can_state(shape)) return nullptr;
  if (shape.size() > 1024) return nullptr;
  return r.b.op("Reshape", {source, r.b.dims(shape)}, {{"allowzero", int64_t{1}}});
}

Value* expand(Rewrite& r) {
  if (!is_decided(r)) return nullptr;
  if (Value* same = same_type(r)) return same;
  if (!r.type().shape) return nullptr;
  const Shape& shape = *r.type().shape;
  Value* source = r.operand(0);
  if (Node* inner = producer_of(source, "Expand")) source = inner->input(0);
  if (source == r.operand(0) && states_shape(r.operand(1), shape)) return nullptr;
  return r.can_state(shape) && shape.size() <= 1024 ? r.b.op("Expand", {source, r.b.dims(shape)}) : nullptr;
}

std::vector<int64_t> permutation_of(const Node& transpose) {
  std::vector<int64_t> permutation = transpose.attrs.integers("perm");
  if (!permutation.empty() || !transpose.input(0)->type.shape) return permutation;
  permutation.resize(transpose.input(0)->type.shape->size());
  std::iota(permutation.rbegin(), permutation.rend(), 0);
  return permutation;
}

Value* transpose(Rewrite& r) {
  if (!r.operand(0)->type.shape) return nullptr;
  std::vector<int64_t> permutation = permutation_of(*r.node);
  if (std::ranges::is_sorted(permutation)) return r.operand(0);
  Value* source = r.operand(0);
  if (Node* inner = producer_of(source, "Transpose")) {
    const std::vector<int64_t> first = permutation_of(*inner);
    for (int64_t& axis : permutation) axis = first[static_cast<size_t>(axis)];
    source = inner->input(0);
    if (std::ranges::is_sorted(permutation)) return source;
  }
  if (source == r.operand(0) && !r.node->attrs.integers("perm").empty()) return nullptr;
  return r.b.transpose(source, std::move(permutation));
}

// True where each value of `from` is one of `to`.
bool is_lossless(DType from, DType to) {
  if (from == to) return true;
  if (from == DType::kBool) return is_int(to) || is_float(to);
  if (is_float(from)) return (to == DType::kF64) || (to == DType::kF32 && from != DType::kF64);
  if (!is_int(from)) return false;
  const int64_t bits = element_bits(from) - (is_signed_int(from) ? 1 : 0);
  if (to == DType::kF64) return bits <= 53;
  if (to == DType::kF32) return bits <= 24;
  if (!is_int(to) || (is_signed_int(from) && !is_signed_int(to))) return false;
  return bits <= element_bits(to) - (is_signed_int(to) ? 1 : 0);
}

Value* cast(Rewrite& r) {
  const DType to = r.type().dtype, from = r.operand(0)->type.dtype;
  if (from == DType::kUndefined) return nullptr;
  if (from == to) return r.operand(0);
  Node* inner = producer_of(r.operand(0), "Cast");
  if (!inner || inner->input(0)->type.dtype == DType::kUndefined ||
      !is_lossless(inner->input(0)->type.dtype, from))
    return nullptr;
  if (inner->input(0)->type.dtype == to) return inner->input(0);
  return r.b.op("Cast", {inner->input(0)}, r.node->attrs);
}

Value* cast_like(Rewrite& r) {
  const DType to = r.type().dtype;
  if (to == DType::kUndefined) return nullptr;
  Attributes attrs = r.node->attrs;
  attrs.set("to", to);
  return r.b.op("Cast", {r.operand(0)}, std::move(attrs));
}

// A slice of step 1 that keeps every extent keeps everything.
Value* slice(Rewrite& r) {
  if (r.operand(4)) {
    const std::optional<std::vector<int64_t>> steps = constant_ints(r.operand(4));
    if (!steps || std::ranges::any_of(*steps, [](int64_t step) { return step != 1; })) return nullptr;
  }
  return is_decided(r) && r.operand(2)->contents ? same_type(r) : nullptr;
}

Value* pad(Rewrite& r) {
  const std::optional<std::vector<int64_t>> pads = constant_ints(r.operand(1));
  const bool nothing = pads && std::ranges::all_of(*pads, [](int64_t pad) { return pad == 0; });
  return nothing ? r.operand(0) : nullptr;
}

Value* tile(Rewrite& r) {
  const std::optional<std::vector<int64_t>> repeats = constant_ints(r.operand(1));
  const bool nothing = repeats && std::ranges::all_of(*repeats, [](int64_t count) { return count == 1; });
  return nothing ? r.operand(0) : nullptr;
}

int64_t axis_of(const Node& node, int64_t rank) {
  const int64_t axis = node.attrs.integer("axis");
  return axis < 0 ? axis + rank : axis;
}

// Concat of one, of parts that are Concats along the same axis themselves, and of empty parts.
Value* concat(Rewrite& r) {
  if (r.node->inputs().size() == 1) return r.operand(0);
  if (!r.type().shape) return nullptr;
  const int64_t rank = r.type().rank(), axis = axis_of(*r.node, rank);
  std::vector<Value*> parts;
  bool changed = false;
  for (Value* part : r.node->inputs()) {
    Node* inner = producer_of(part, "Concat");
    const bool flat = inner && has_one_use(part) && axis_of(*inner, rank) == axis;
    const bool empty = part->type.shape && (*part->type.shape)[static_cast<size_t>(axis)].is_constant(0);
    changed |= flat || empty;
    if (flat)
      parts.insert(parts.end(), inner->inputs().begin(), inner->inputs().end());
    else if (!empty)
      parts.push_back(part);
  }
  return changed && !parts.empty() ? r.b.concat(std::move(parts), axis) : nullptr;
}

// Axes counted from the front.
Value* front_axis(Rewrite& r) {
  const int64_t axis = r.node->attrs.integer("axis");
  if (axis >= 0 || !r.operand(0)->type.shape) return nullptr;
  r.node->attrs.set("axis", axis + r.operand(0)->type.rank());
  r.changed = true;
  return nullptr;
}

// A reduction names its axes, in order and from the front.
Value* reduction_axes(Rewrite& r) {
  if (!r.operand(0)->type.shape) return nullptr;
  const int64_t rank = r.operand(0)->type.rank();
  std::optional<std::vector<int64_t>> axes =
      r.operand(1) ? constant_ints(r.operand(1)) : std::vector<int64_t>();
  if (!axes) return nullptr;
  const std::vector<int64_t> given = *axes;
  const bool noop = r.node->attrs.integer("noop_with_empty_axes") != 0;
  if (axes->empty() && noop) return nullptr;
  if (axes->empty()) {
    axes->resize(static_cast<size_t>(rank));
    std::iota(axes->begin(), axes->end(), 0);
  }
  for (int64_t& axis : *axes) axis = axis < 0 ? axis + rank : axis;
  std::ranges::sort(*axes);
  // Without axes to name, the attribute would decide again.
  if (axes->empty() || (*axes == given && !noop)) return nullptr;
  const bool keep = r.node->attrs.integer("keepdims") != 0;
  return r.b.op(r.node->op().name, {r.operand(0), r.b.ints(*axes)}, {{"keepdims", int64_t{keep}}});
}

// Over no axes these give what they got.
Value* reduction_over_nothing(Rewrite& r) {
  const bool noop = r.node->attrs.integer("noop_with_empty_axes") != 0;
  const std::optional<std::vector<int64_t>> axes =
      r.operand(1) ? constant_ints(r.operand(1)) : std::vector<int64_t>();
  return noop && axes && axes->empty() ? r.operand(0) : nullptr;
}

constexpr RewriteRow kRules[] = {
    {"Identity", operand_itself},
    {"SumTo", same_type},
    {"Reshape", reshape},
    {"Flatten", reshape},
    {"Squeeze", reshape},
    {"Unsqueeze", reshape},
    {"Expand", expand},
    {"Transpose", transpose},
    {"Cast", cast},
    {"CastLike", cast_like},
    {"Slice", slice},
    {"Pad", pad},
    {"Tile", tile},
    {"Concat", concat},
    {"Split", same_type},
    {"Concat", front_axis},
    {"Split", front_axis},
    {"Gather", front_axis},
    {"GatherElements", front_axis},
    {"Softmax", front_axis},
    {"LogSoftmax", front_axis},
    {"Hardmax", front_axis},
    {"LpNormalization", front_axis},
    {"LayerNormalization", front_axis},
    {"RMSNormalization", front_axis},
    {"ArgMax", front_axis},
    {"ArgMin", front_axis},
    {"ReduceSum", reduction_over_nothing},
    {"ReduceMean", reduction_over_nothing},
    {"ReduceMax", reduction_over_nothing},
    {"ReduceMin", reduction_over_nothing},
    {"ReduceProd", reduction_over_nothing},
    {"ReduceSum", reduction_axes},
    {"ReduceMean", reduction_axes},
    {"ReduceMax", reduction_axes},
    {"ReduceMin", reduction_axes},
    {"ReduceProd", reduction_axes},
    {"ReduceL1", reduction_axes},
    {"ReduceL2", reduction_axes},
    {"ReduceLogSum", reduction_axes},
    {"ReduceLogSumExp", reduction_axes},
    {"ReduceSumSquare", reduction_axes},
};

}  // namespace

std::span<const RewriteRow> movement_rules() { return kRules; }

}  // namespace gannet
