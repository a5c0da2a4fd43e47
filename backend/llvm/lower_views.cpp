#include "backend/llvm/lower_views.h"

#include <algorithm>

#include "ir/infer.h"
#include "ir/op.h"

namespace gannet {
namespace {

// The elements of a list of dimensions, where they are known.
std::optional<std::vector<Dim>> contents_of(const Value* value) {
  if (value->contents) return value->contents;
  if (const auto ints = constant_ints(value)) return std::vector<Dim>(ints->begin(), ints->end());
  if (value->producer() && value->producer()->op().name == "Dims") return value->producer()->attrs.dims("dims");
  return std::nullopt;
}

Result<OperandView> transposed(const Node& node, const OperandView& x) {
  std::vector<int64_t> permutation = node.attrs.integers("perm");
  if (!node.attrs.has("perm")) {
    for (size_t i = x.extents.size(); i-- > 0;) permutation.push_back(static_cast<int64_t>(i));
  }
  OperandView y = x;
  for (size_t i = 0; i < permutation.size(); ++i) {
    y.extents[i] = x.extents[static_cast<size_t>(permutation[i])];
    y.strides[i] = x.strides[static_cast<size_t>(permutation[i])];
  }
  return y;
}

Result<OperandView> expanded(const Node& node, const OperandView& x) {
  OperandView y = x;
  y.extents = *node.output()->type.shape;
  y.strides.assign(y.extents.size(), Dim(0));
  const size_t added = y.extents.size() - x.extents.size();
  for (size_t i = 0; i < x.extents.size(); ++i) {
    if (x.extents[i] == y.extents[added + i]) y.strides[added + i] = x.strides[i];
    else if (!x.extents[i].is_constant(1)) return unsupported("an extent that may be repeated or not");
  }
  return y;
}

// Python's rule for start:end:step along an axis of known extent.
Result<int64_t> first_of(const Dim& start, const Dim& extent, int64_t step) {
  if (!start.is_constant() || !extent.is_constant()) return unsupported("a symbolic start");
  int64_t at = start.constant();
  if (at < 0) at += extent.constant();
  return std::clamp<int64_t>(at, step > 0 ? 0 : -1, step > 0 ? extent.constant() : extent.constant() - 1);
}

// Where a slice starts; for symbolic extents only what needs no clamping.
Result<Dim> start_of(const Dim& start, const Dim& extent, int64_t step) {
  if (start.is_constant() && extent.is_constant()) return Dim(TRY(first_of(start, extent, step)));
  if (step < 0) return unsupported("a negative step along a symbolic extent");
  constexpr int64_t kHuge = 0x7fffffff;
  if (start.is_constant()) {
    if (start.constant() <= -kHuge) return Dim(0);
    if (start.constant() < 0) return max(extent + start, Dim(0));
  } else if (start.lower_bound().value_or(-1) < 0) {
    return unsupported("a start that may be negative");
  }
  return min(start, extent);
}

Result<OperandView> sliced(const Node& node, const OperandView& x) {
  const auto starts = contents_of(node.input(1));
  const auto axes = node.input(3) ? contents_of(node.input(3)) : std::nullopt;
  const auto steps = node.input(4) ? contents_of(node.input(4)) : std::nullopt;
  if (!starts || (node.input(3) && !axes) || (node.input(4) && !steps)) return unsupported("bounds that are not known");
  OperandView y = x;
  y.extents = *node.output()->type.shape;
  for (size_t i = 0; i < starts->size(); ++i) {
    int64_t axis = static_cast<int64_t>(i), step = 1;
    if ((axes && !(*axes)[i].is_constant()) || (steps && !(*steps)[i].is_constant())) return unsupported("bounds that are not known");
    if (axes) axis = (*axes)[i].constant();
    if (steps) step = (*steps)[i].constant();
    const auto a = static_cast<size_t>(TRY(normalize_axis(axis, static_cast<int64_t>(x.extents.size()))));
    if (y.extents[a].is_constant(0)) continue;
    // With a symbolic extent that data decide, the start cannot be told from the types alone.
    if (!y.extents[a].is_constant() && !x.extents[a].is_constant() && !(*starts)[i].is_constant(0) && step != 1) {
      return unsupported("a stepped slice along a symbolic extent");
    }
    y.offset = y.offset + TRY(start_of((*starts)[i], x.extents[a], step)) * x.strides[a];
    y.strides[a] = y.extents[a].is_constant(1) ? x.strides[a] : x.strides[a] * step;
  }
  return y;
}

Result<OperandView> split(const Node& node, size_t output, const OperandView& x) {
  const auto axis = static_cast<size_t>(TRY(normalize_axis(node.attrs.integer("axis"), static_cast<int64_t>(x.extents.size()))));
  OperandView y = x;
  Dim start = 0;
  for (size_t i = 0; i < output; ++i) {
    if (!node.output(i)) return unsupported("parts of which one is absent");
    start = start + (*node.output(i)->type.shape)[axis];
  }
  y.extents = *node.output(output)->type.shape;
  y.offset = y.offset + start * x.strides[axis];
  return y;
}

// A dense window under another shape.
Result<OperandView> reshaped(const Node& node, const OperandView& x) {
  if (x.strides != dense_strides(x.extents)) return unsupported("a reshape of elements that are apart");
  OperandView y = x;
  y.extents = *node.output()->type.shape;
  y.strides = dense_strides(y.extents);
  return y;
}

}  // namespace

bool is_reshape(const Node& node) {
  const std::string_view op = node.op().name;
  return op == "Reshape" || op == "Squeeze" || op == "Unsqueeze" || op == "Flatten" || op == "Identity";
}

bool is_movement(const Node& node) {
  const std::string_view op = node.op().name;
  return op == "Transpose" || op == "Slice" || op == "Split" || op == "Expand";
}

Result<OperandView> view_of_output(const Node& node, size_t output, const OperandView& source) {
  const std::string_view op = node.op().name;
  if (op == "Transpose") return transposed(node, source);
  if (op == "Expand") return expanded(node, source);
  if (op == "Slice") return sliced(node, source);
  if (op == "Split") return split(node, output, source);
  if (is_reshape(node)) return reshaped(node, source);
  return unsupported("no rule");
}

}  // namespace gannet
