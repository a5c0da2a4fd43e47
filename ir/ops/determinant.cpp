#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ir/ops/float_compute.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"

namespace gannet {
namespace {

Status infer_det(InferContext& c) {
  TRY(expect_tensors(c, 1));
  TRY(expect_float(c, 0, "input"));
  const Shape* x = c.shape(0);
  c.set_tensor(0, c.dtype(0), std::nullopt);
  if (!x) return {};
  if (x->size() < 2)
    return invalid_model(fmt::format("the input must have rank 2 or more, got {}", x->size()));
  const Dim &rows = (*x)[x->size() - 2], &columns = x->back();
  if (rows.is_constant() && columns.is_constant() && rows != columns) {
    return invalid_model(fmt::format("a matrix of {} rows and {} columns has no determinant",
                                     rows.to_string(), columns.to_string()));
  }
  c.set_tensor(0, c.dtype(0), Shape(x->begin(), x->end() - 2));
  return {};
}

// By elimination with the largest pivot of each column.
double determinant(std::vector<double>& a, int64_t n) {
  double result = 1;
  auto row = [&](int64_t i) { return a.data() + i * n; };
  for (int64_t k = 0; k < n; ++k) {
    int64_t pivot = k;
    for (int64_t i = k + 1; i < n; ++i) {
      if (std::abs(row(i)[k]) > std::abs(row(pivot)[k])) pivot = i;
    }
    if (pivot != k) {
      std::swap_ranges(row(k), row(k) + n, row(pivot));
      result = -result;
    }
    const double diagonal = row(k)[k];
    result *= diagonal;
    if (diagonal == 0) return 0;
    for (int64_t i = k + 1; i < n; ++i) {
      const double factor = row(i)[k] / diagonal;
      for (int64_t j = k + 1; j < n; ++j) row(i)[j] -= factor * row(k)[j];
    }
  }
  return result;
}

Status eval_det(EvalContext& c) {
  const Tensor x = TRY(as_dtype(c.tensor(0), DType::kF64));
  Tensor y = TRY(c.allocate(DType::kF64, static_extents(*c.output_type(0).shape)));
  const int64_t n = x.extents().back();
  std::vector<double> matrix;
  for (int64_t i = 0; i < y.elements(); ++i) {
    const double* from = x.data<double>().data() + i * n * n;
    matrix.assign(from, from + n * n);
    y.mutable_data<double>()[static_cast<size_t>(i)] = determinant(matrix, n);
  }
  c.set(TRY(as_dtype(y, c.tensor(0).dtype())));
  return {};
}

}  // namespace

constinit const StructuredOp ops::Det = {.inputs = {1, 1},
                                         .outputs = {1, 1},
                                         .attrs = {},
                                         .infer = infer_det,
                                         .eval = eval_det,
                                         .vjp = missing_gradient};

}  // namespace gannet
