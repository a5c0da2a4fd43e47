// Ops that permute elements: Transpose, and DepthToSpace and SpaceToDepth, which are transposes of a split shape.
#include <fmt/format.h>

#include <numeric>

#include "ir/ops/element_copy.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"

namespace gannet {
namespace {

constexpr AttrDef kTransposeAttrs[] = {optional_attr("perm", AttrKind::kInts)};
constexpr AttrDef kBlockAttrs[] = {required_attr("blocksize", AttrKind::kInt), string_attr("mode", "DCR")};

// Axis i of the output is axis permutation[i] of the input.
std::vector<int64_t> permutation_of(const Attributes& attrs, int64_t rank) {
  if (attrs.has("perm")) return attrs.integers("perm");
  std::vector<int64_t> reversed(static_cast<size_t>(rank));
  std::iota(reversed.rbegin(), reversed.rend(), 0);
  return reversed;
}

Status infer_transpose(InferContext& c) {
  TRY(expect_tensors(c, 1));
  const Shape* x = c.shape(0);
  if (!x) {
    c.set_tensor(0, c.dtype(0), std::nullopt);
    return {};
  }
  const int64_t rank = static_cast<int64_t>(x->size());
  const std::vector<int64_t> permutation = permutation_of(c.attrs(), rank);
  if (static_cast<int64_t>(permutation.size()) != rank) {
    return invalid_model(fmt::format("perm has {} axes for an input of rank {}", permutation.size(), rank));
  }
  std::vector<bool> seen(x->size(), false);
  Shape shape;
  for (int64_t axis : permutation) {
    if (axis < 0 || axis >= rank || seen[static_cast<size_t>(axis)]) {
      return invalid_model(fmt::format("perm {} is no permutation of {} axes", to_string(std::span<const int64_t>(permutation)), rank));
    }
    seen[static_cast<size_t>(axis)] = true;
    shape.push_back((*x)[static_cast<size_t>(axis)]);
  }
  if (rank <= 1) {
    if (std::optional<std::vector<Dim>> contents = short_contents(c, 0)) c.set_contents(0, std::move(*contents));
  }
  c.set_tensor(0, c.dtype(0), std::move(shape));
  return {};
}

// Fills `target`, whose axis i is axis permutation[i] of `source` seen as a tensor of `extents`.
void permute(const Tensor& source, std::span<const int64_t> extents, std::span<const int64_t> permutation, Tensor& target) {
  if (target.elements() == 0) return;
  const std::vector<int64_t> strides = row_major_strides(extents);
  StridedWalk walk;
  for (int64_t axis : permutation) {
    walk.extents.push_back(extents[static_cast<size_t>(axis)]);
    walk.source_strides.push_back(strides[static_cast<size_t>(axis)]);
  }
  walk.target_strides = row_major_strides(walk.extents);
  copy_strided(source, target, walk);
}

Status eval_transpose(EvalContext& c) {
  const Tensor& x = c.tensor(0);
  Tensor y = TRY(allocate_inferred(c));
  permute(x, x.extents(), permutation_of(c.attrs(), x.rank()), y);
  c.set(std::move(y));
  return {};
}

Status transpose_vjp(VjpContext& c) {
  if (!c.wants(0)) return {};
  const Shape x = TRY(known_shape(c.operand(0), "the input"));
  const std::vector<int64_t> permutation = permutation_of(c.attrs(), static_cast<int64_t>(x.size()));
  std::vector<int64_t> inverse(permutation.size());
  for (size_t i = 0; i < permutation.size(); ++i) inverse[static_cast<size_t>(permutation[i])] = static_cast<int64_t>(i);
  c.set(0, c.b.transpose(c.gradient(), std::move(inverse)));
  return {};
}

Result<int64_t> block_size(const InferContext& c) {
  TRY(expect_choice(c, "mode", {"DCR", "CRD"}));
  const int64_t block = c.attrs().integer("blocksize");
  if (block < 1 || block > (int64_t{1} << 31)) return invalid_model(fmt::format("blocksize {} is outside of [1, 2^31]", block));
  return block;
}

Status infer_depth_to_space(InferContext& c) {
  TRY(expect_tensors(c, 1));
  TRY(expect_rank(c, 0, 4, "input"));
  const int64_t block = TRY(block_size(c));
  const Shape* x = c.shape(0);
  if (!x) {
    c.set_tensor(0, c.dtype(0), fresh_shape(c, 4, "space"));
    return {};
  }
  const Dim depth = (*x)[1];
  if (depth.is_constant() && depth.constant() % (block * block) != 0) {
    return invalid_model(fmt::format("blocksize {} squared does not divide {} channels", block, depth.constant()));
  }
  c.set_tensor(0, c.dtype(0), Shape{(*x)[0], floordiv(depth, block * block), (*x)[2] * block, (*x)[3] * block});
  return {};
}

Status eval_depth_to_space(EvalContext& c) {
  const Tensor& x = c.tensor(0);
  const int64_t block = c.attrs().integer("blocksize"), n = x.extent(0), depth = x.extent(1) / (block * block);
  Tensor y = TRY(allocate_inferred(c));
  if (c.attrs().text("mode") == "DCR") {
    permute(x, std::vector<int64_t>{n, block, block, depth, x.extent(2), x.extent(3)}, std::vector<int64_t>{0, 3, 4, 1, 5, 2}, y);
  } else {
    permute(x, std::vector<int64_t>{n, depth, block, block, x.extent(2), x.extent(3)}, std::vector<int64_t>{0, 1, 4, 2, 5, 3}, y);
  }
  c.set(std::move(y));
  return {};
}

Status infer_space_to_depth(InferContext& c) {
  TRY(expect_tensors(c, 1));
  TRY(expect_rank(c, 0, 4, "input"));
  const int64_t block = TRY(block_size(c));
  const Shape* x = c.shape(0);
  if (!x) {
    c.set_tensor(0, c.dtype(0), fresh_shape(c, 4, "depth"));
    return {};
  }
  for (size_t axis : {size_t{2}, size_t{3}}) {
    const Dim extent = (*x)[axis];
    if (extent.is_constant() && extent.constant() % block != 0) {
      return invalid_model(fmt::format("blocksize {} does not divide extent {} of axis {}", block, extent.constant(), axis));
    }
  }
  c.set_tensor(0, c.dtype(0), Shape{(*x)[0], (*x)[1] * block * block, floordiv((*x)[2], block), floordiv((*x)[3], block)});
  return {};
}

Status eval_space_to_depth(EvalContext& c) {
  const Tensor& x = c.tensor(0);
  const int64_t block = c.attrs().integer("blocksize");
  const std::vector<int64_t> split = {x.extent(0), x.extent(1), x.extent(2) / block, block, x.extent(3) / block, block};
  Tensor y = TRY(allocate_inferred(c));
  const bool depth_last = c.attrs().text("mode") == "DCR";
  permute(x, split, depth_last ? std::vector<int64_t>{0, 3, 5, 1, 2, 4} : std::vector<int64_t>{0, 1, 3, 5, 2, 4}, y);
  c.set(std::move(y));
  return {};
}

// Each of the two is a permutation of elements, whose transpose is the other with the same attributes.
Status block_vjp(VjpContext& c, std::string_view inverse) {
  if (c.wants(0)) {
    c.set(0, c.b.op(inverse, {c.gradient()}, {{"blocksize", c.attrs().integer("blocksize")}, {"mode", std::string(c.attrs().text("mode"))}}));
  }
  return {};
}
Status depth_to_space_vjp(VjpContext& c) { return block_vjp(c, "SpaceToDepth"); }
Status space_to_depth_vjp(VjpContext& c) { return block_vjp(c, "DepthToSpace"); }

}  // namespace

constinit const StructuredOp ops::Transpose = {
    .inputs = {1, 1}, .outputs = {1, 1}, .attrs = kTransposeAttrs, .infer = infer_transpose, .eval = eval_transpose};
constinit const GradientRule gradients::Transpose = {.vjp = transpose_vjp};
constinit const StructuredOp ops::DepthToSpace = {
    .inputs = {1, 1}, .outputs = {1, 1}, .attrs = kBlockAttrs, .infer = infer_depth_to_space, .eval = eval_depth_to_space};
constinit const GradientRule gradients::DepthToSpace = {.vjp = depth_to_space_vjp};
constinit const StructuredOp ops::SpaceToDepth = {
    .inputs = {1, 1}, .outputs = {1, 1}, .attrs = kBlockAttrs, .infer = infer_space_to_depth, .eval = eval_space_to_depth};
constinit const GradientRule gradients::SpaceToDepth = {.vjp = space_to_depth_vjp};

}  // namespace gannet
