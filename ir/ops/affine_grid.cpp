#include <fmt/format.h>

#include "ir/ops/float_compute.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"
#include "ir/vjp.h"

namespace gannet {
namespace {

constexpr AttrDef kAttrs[] = {int_attr("align_corners", 0)};

Status check_theta(const Shape& theta) {
  const Dim &rows = theta[1], &columns = theta[2];
  const bool fits = !rows.is_constant() || rows.constant() == 2 || rows.constant() == 3;
  const bool square =
      !rows.is_constant() || !columns.is_constant() || columns.constant() == rows.constant() + 1;
  if (fits && square) return {};
  return invalid_model(fmt::format("the matrices are {} by {}, neither 2 by 3 nor 3 by 4", rows.to_string(),
                                   columns.to_string()));
}

// Operands: the matrices, and the size of the picture that the grid is for.
Status infer_affine_grid(InferContext& c) {
  TRY(expect_tensors(c, 2));
  TRY(expect_float(c, 0, "theta"));
  TRY(expect_dtype(c, 1, DType::kI64, "size"));
  TRY(expect_rank(c, 0, 3, "theta"));
  TRY(expect_list(c, 1, "size"));
  const Shape* theta = c.shape(0);
  if (theta) TRY(check_theta(*theta));
  c.set_tensor(0, c.dtype(0), std::nullopt);
  const std::optional<int64_t> length = list_length(c, 1);
  if (!length) return {};
  if (*length != 4 && *length != 5)
    return invalid_model(fmt::format("the size has {} elements, neither 4 nor 5", *length));
  if (theta && (*theta)[1].is_constant() && (*theta)[1].constant() != *length - 2) {
    return invalid_model(fmt::format("a size of {} elements does not fit matrices of {} rows", *length,
                                     (*theta)[1].to_string()));
  }
  const std::optional<std::vector<Dim>> size = c.contents(1);
  Shape shape = size ? *size : fresh_shape(c, *length, "size");
  for (const Dim& extent : shape) {
    if (extent.is_constant() && extent.constant() < 0)
      return invalid_model(fmt::format("the size holds {}", extent.to_string()));
  }
  if (theta) shape[0] = TRY(same_dim(shape[0], (*theta)[0], 0));
  shape.erase(shape.begin() + 1);
  shape.push_back(Dim(*length - 2));
  c.set_tensor(0, c.dtype(0), std::move(shape));
  return {};
}

// Coordinate i of `extent`, from -1 to 1 between the centres or the edges of the outermost elements.
double position(int64_t i, int64_t extent, bool align_corners) {
  if (align_corners)
    return extent == 1 ? 0 : -1 + 2 * static_cast<double>(i) / static_cast<double>(extent - 1);
  return -1 + (2 * static_cast<double>(i) + 1) / static_cast<double>(extent);
}

Status eval_affine_grid(EvalContext& c) {
  const DType dtype = c.tensor(0).dtype();
  const Tensor theta = TRY(as_dtype(c.tensor(0), DType::kF64));
  const std::vector<int64_t> extents = static_extents(*c.output_type(0).shape);
  Tensor y = TRY(c.allocate(DType::kF64, extents));
  const bool align_corners = c.attrs().integer("align_corners") != 0;
  const int64_t rank = extents.back();
  int64_t points = 1;
  if (y.elements() == 0)
    points = 0;
  else
    for (int64_t d = 0; d < rank; ++d) points *= extents[static_cast<size_t>(d + 1)];
  double* out = y.mutable_data<double>().data();
  for (int64_t n = 0; points > 0 && n < extents[0]; ++n) {
    const double* matrix = theta.data<double>().data() + n * rank * (rank + 1);
    for (int64_t point = 0; point < points; ++point, out += rank) {
      double at[3] = {};
      int64_t rest = point;
      for (int64_t d = 0; d < rank; ++d) {  // x comes first and runs along the last dimension
        const int64_t extent = extents[static_cast<size_t>(rank - d)];
        at[d] = position(rest % extent, extent, align_corners);
        rest /= extent;
      }
      for (int64_t i = 0; i < rank; ++i) {
        const double* row = matrix + i * (rank + 1);
        out[i] = row[rank];
        for (int64_t d = 0; d < rank; ++d) out[i] += row[d] * at[d];
      }
    }
  }
  c.set(TRY(as_dtype(y, dtype)));
  return {};
}

// The grid of the identity holds the positions that the matrices multiply: d theta = (d grid)' [positions, 1].
Status affine_grid_vjp(VjpContext& c) {
  const Shape grid = TRY(known_shape(c.output(), "the grid"));
  if (!grid.back().is_constant()) return unsupported("the gradient needs the number of dimensions");
  const int64_t rank = grid.back().constant();
  Tensor identity = Tensor::zeros(DType::kF64, {1, rank, rank + 1});
  for (int64_t i = 0; i < rank; ++i) identity.mutable_data<double>()[static_cast<size_t>(i * (rank + 2))] = 1;
  Shape size = {Dim(1), Dim(1)};
  size.insert(size.end(), grid.begin() + 1, grid.end() - 1);
  const DType dtype = c.gradient()->type.dtype;
  Value* positions = c.b.op("AffineGrid", {c.b.cast(c.b.constant(identity), dtype), c.b.dims(size)}, c.attrs());
  const Dim points = element_count(std::span<const Dim>(size).subspan(2));
  Value* dy = c.b.transpose(c.b.reshape(c.gradient(), {grid[0], points, Dim(rank)}), {0, 2, 1});
  Value* turned = c.b.matmul(dy, c.b.reshape(positions, {points, Dim(rank)}));
  c.set(0, c.b.concat({turned, c.b.reduce_sum(dy, {2}, true)}, 2));
  return c.b.status();
}

}  // namespace

constinit const StructuredOp ops::AffineGrid = {.inputs = {2, 2},
                                                .outputs = {1, 1},
                                                .attrs = kAttrs,
                                                .infer = infer_affine_grid,
                                                .eval = eval_affine_grid};
constinit const GradientRule gradients::AffineGrid = {.vjp = affine_grid_vjp};

}  // namespace gannet
