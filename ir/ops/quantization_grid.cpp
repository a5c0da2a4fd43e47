#include "ir/ops/quantization_grid.h"

#include <fmt/format.h>

namespace gannet {
namespace {

bool differ(const Dim& a, const Dim& b) { return a.is_constant() && b.is_constant() && a != b; }

Status check_blocks(const InferContext& c, int64_t axis, int64_t block) {
  const Shape &x = *c.shape(0), &scale = *c.shape(1);
  for (size_t d = 0; d < x.size(); ++d) {
    const Dim expected = static_cast<int64_t>(d) == axis ? ceildiv(x[d], block) : x[d];
    if (differ(scale[d], expected)) {
      return invalid_model(fmt::format("dimension {} of the scale is {}, blocks of {} along axis {} need {}",
                                       d, scale[d].to_string(), block, axis, expected.to_string()));
    }
  }
  return {};
}

Status check_scale(const InferContext& c) {
  const Shape *x = c.shape(0), *scale = c.shape(1);
  const int64_t block = c.attrs().integer("block_size");
  if (block < 0) return invalid_model(fmt::format("block_size {} is negative", block));
  if (!x || !scale || scale->empty()) return {};
  const int64_t rank = static_cast<int64_t>(x->size());
  if (block > 0) {
    if (scale->size() != x->size()) {
      return invalid_model(fmt::format("blocked quantization of rank {} needs a scale of that rank, got {}",
                                       rank, scale->size()));
    }
    return check_blocks(c, TRY(normalize_axis(c.attrs().integer("axis"), rank)), block);
  }
  if (scale->size() > 1) {
    return invalid_model(fmt::format("the scale has rank {}, which needs a block_size", scale->size()));
  }
  if ((*scale)[0].is_constant(1)) return {};
  const int64_t axis = rank == 1 ? 0 : TRY(normalize_axis(c.attrs().integer("axis"), rank));
  if (differ((*scale)[0], (*x)[static_cast<size_t>(axis)])) {
    return invalid_model(fmt::format("{} scales for {} elements along axis {}", (*scale)[0].to_string(),
                                     (*x)[static_cast<size_t>(axis)].to_string(), axis));
  }
  return {};
}

}  // namespace

Status check_quantization(const InferContext& c) {
  TRY(check_scale(c));
  if (!c.has(2)) return {};
  const Shape *scale = c.shape(1), *zero = c.shape(2);
  if (!scale || !zero) return {};
  // A scalar and a list of one are the same thing to most writers of models.
  auto single = [](const Shape& shape) {
    return shape.empty() || (shape.size() == 1 && shape[0].is_constant(1));
  };
  bool same = scale->size() == zero->size() || (single(*scale) && single(*zero));
  for (size_t d = 0; same && scale->size() == zero->size() && d < scale->size(); ++d)
    same = !differ((*scale)[d], (*zero)[d]);
  if (same) return {};
  return invalid_model(fmt::format("the scale has shape {}, the zero point {}",
                                   to_string(std::span<const Dim>(*scale)),
                                   to_string(std::span<const Dim>(*zero))));
}

QuantizationGrid quantization_grid(const Attributes& attrs, std::span<const int64_t> extents,
                                   std::span<const int64_t> scale) {
  QuantizationGrid grid;
  const int64_t rank = static_cast<int64_t>(extents.size()), block = attrs.integer("block_size");
  if (scale.empty() || (block == 0 && scale[0] == 1)) {
    grid.view = {1, 1, 1};
    for (int64_t extent : extents) grid.view.inner *= extent;
    return grid;
  }
  int64_t axis = rank == 1 ? 0 : attrs.integer("axis");
  if (axis < 0) axis += rank;
  grid.view = view_axis(extents, axis);
  grid.block_stride = 1;
  if (block == 0) return grid;
  grid.block = block;
  grid.block_stride = grid.view.inner;
  grid.outer_stride = (grid.view.length + block - 1) / block * grid.view.inner;
  grid.inner_stride = 1;
  return grid;
}

}  // namespace gannet
