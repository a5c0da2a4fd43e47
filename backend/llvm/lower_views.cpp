#include "backend/llvm/lower_views.h"

#include <algorithm>

#include "ir/infer.h"
#include "ir/op.h"
#include "ir/view.h"

namespace gannet {
namespace {

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

// One dimension after the other, each as its repetitions and itself.
Result<OperandView> tiled(const Node& node, const OperandView& x) {
  const auto repeats = contents_of(node.input(1));
  if (!repeats) return unsupported("repetitions that are not known");
  OperandView y{x.source, x.dtype, {}, {}, x.offset};
  for (size_t i = 0; i < x.extents.size(); ++i) {
    if ((*repeats)[i].lower_bound().value_or(-1) < 0) return unsupported("repetitions that may be negative");
    y.extents.insert(y.extents.end(), {(*repeats)[i], x.extents[i]});
    y.strides.insert(y.strides.end(), {Dim(0), x.strides[i]});
  }
  return y;
}

// `axis` as `parts` dimensions, of which all but the first have these extents.
void split_axis(OperandView& x, size_t axis, const std::vector<int64_t>& parts) {
  Dim stride = x.strides[axis], extent = x.extents[axis];
  int64_t product = 1;
  for (int64_t part : parts) product *= part;
  Shape extents{floordiv(extent, Dim(product))};
  std::vector<Dim> strides{stride * product};
  for (int64_t part : parts) {
    product /= part;
    extents.push_back(part);
    strides.push_back(stride * product);
  }
  const auto at = static_cast<std::ptrdiff_t>(axis);
  x.extents.erase(x.extents.begin() + at);
  x.strides.erase(x.strides.begin() + at);
  x.extents.insert(x.extents.begin() + at, extents.begin(), extents.end());
  x.strides.insert(x.strides.begin() + at, strides.begin(), strides.end());
}

OperandView reordered(const OperandView& x, std::initializer_list<size_t> order) {
  OperandView y{x.source, x.dtype, {}, {}, x.offset};
  for (size_t i : order) {
    y.extents.push_back(x.extents[i]);
    y.strides.push_back(x.strides[i]);
  }
  return y;
}

// Channels are [block, block, channels] of the result for DCR, [channels, block, block] for CRD.
Result<OperandView> depth_to_space(const Node& node, OperandView x) {
  if (!x.extents[1].is_constant()) return unsupported("a symbolic extent");
  const int64_t block = node.attrs.integer("blocksize");
  const bool channels_first = node.attrs.text("mode") == "CRD";
  if (channels_first) {
    split_axis(x, 1, {block, block});
    return reordered(x, {0, 1, 4, 2, 5, 3});
  }
  const Dim channels = (*node.output()->type.shape)[1], stride = x.strides[1];
  split_axis(x, 1, {block, block});
  x.extents[1] = x.extents[2] = block;
  x.extents[3] = channels;
  x.strides[3] = stride;
  x.strides[2] = stride * channels;
  x.strides[1] = stride * channels * block;
  return reordered(x, {0, 3, 4, 1, 5, 2});
}

Result<OperandView> space_to_depth(const Node& node, OperandView x) {
  if (!x.extents[2].is_constant() || !x.extents[3].is_constant()) return unsupported("a symbolic extent");
  const int64_t block = node.attrs.integer("blocksize");
  split_axis(x, 3, {block});
  split_axis(x, 2, {block});
  return node.attrs.text("mode") == "CRD" ? reordered(x, {0, 1, 3, 5, 2, 4}) : reordered(x, {0, 3, 5, 1, 2, 4});
}

// Where element o of the result is element floor(o / factor) of the operand, for every factor.
bool repeats_elements(const Attributes& attrs, int64_t factor) {
  const std::string_view transformation = attrs.text("coordinate_transformation_mode"), nearest = attrs.text("nearest_mode");
  if (transformation == "asymmetric" || transformation == "tf_half_pixel_for_nn") return nearest == "floor";
  const bool rounds = nearest == "round_prefer_floor" || nearest == "round_prefer_ceil";
  return rounds && (transformation == "half_pixel" || (transformation == "pytorch_half_pixel" && factor > 1));
}

// How many times Resize repeats the elements of `axis`: 1 where it stays; nothing where it does anything else.
std::optional<int64_t> repetitions(const Node& node, size_t axis, const Dim& from, const Dim& to) {
  const std::vector<int64_t>& axes = node.attrs.integers("axes");
  std::optional<size_t> entry = axes.empty() ? std::optional(axis) : std::nullopt;
  for (size_t i = 0; i < axes.size(); ++i) {
    const Result<int64_t> given = normalize_axis(axes[i], node.input(0)->type.rank());
    if (given.ok() && *given == static_cast<int64_t>(axis)) entry = i;
  }
  if (!entry) return 1;
  const Tensor* scales = node.input(2) ? node.input(2)->constant() : nullptr;
  double factor = 0;
  if (scales && scales->elements() > static_cast<int64_t>(*entry)) factor = scales->double_at(static_cast<int64_t>(*entry));
  else if (from == to) factor = 1;
  else if (from.is_constant() && to.is_constant() && from.constant() > 0 && to.constant() % from.constant() == 0) factor = static_cast<double>(to.constant() / from.constant());
  const auto whole = static_cast<int64_t>(factor);
  if (factor < 1 || factor > 16 || static_cast<double>(whole) != factor || from * whole != to) return std::nullopt;
  if (whole > 1 && !repeats_elements(node.attrs, whole)) return std::nullopt;
  return whole;
}

Result<OperandView> resized(const Node& node, const OperandView& x) {
  if (node.attrs.text("mode") != "nearest") return unsupported("a mode other than nearest");
  if (node.attrs.text("keep_aspect_ratio_policy") != "stretch") return unsupported("extents that follow from one ratio");
  const Shape& shape = *node.output()->type.shape;
  OperandView y{x.source, x.dtype, {}, {}, x.offset};
  for (size_t i = 0; i < x.extents.size(); ++i) {
    const std::optional<int64_t> factor = repetitions(node, i, x.extents[i], shape[i]);
    if (!factor) return unsupported("an axis that is not repeated a whole number of times");
    y.extents.insert(y.extents.end(), {x.extents[i], Dim(*factor)});
    y.strides.insert(y.strides.end(), {x.strides[i], Dim(0)});
  }
  return y;
}

}  // namespace

std::optional<std::vector<Dim>> contents_of(const Value* value) {
  if (value->contents) return value->contents;
  if (const auto ints = constant_ints(value)) return std::vector<Dim>(ints->begin(), ints->end());
  if (value->producer() && value->producer()->op().name == "Dims") return value->producer()->attrs.dims("dims");
  return std::nullopt;
}

bool is_movement(const Node& node) {
  const std::string_view op = node.op().name;
  return op == "Transpose" || op == "Slice" || op == "Split" || op == "Expand" || op == "Tile" || op == "DepthToSpace" ||
         op == "SpaceToDepth" || (op == "Resize" && node.attrs.text("mode") == "nearest");
}

Result<OperandView> view_of_output(const Node& node, size_t output, const OperandView& source) {
  const std::string_view op = node.op().name;
  if (op == "Transpose") return transposed(node, source);
  if (op == "Expand") return expanded(node, source);
  if (op == "Slice") return sliced(node, source);
  if (op == "Split") return split(node, output, source);
  if (op == "Tile") return tiled(node, source);
  if (op == "DepthToSpace") return depth_to_space(node, source);
  if (op == "SpaceToDepth") return space_to_depth(node, source);
  if (op == "Resize") return resized(node, source);
  if (is_view(node)) return reshaped(node, source);
  return unsupported("no rule");
}

}  // namespace gannet
