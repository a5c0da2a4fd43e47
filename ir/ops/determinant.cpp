#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

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

// The inverse of the matrix times its determinant, transposed: entry (i, j) is the determinant without row i and column j,
// with the sign of (-1)^(i + j). By elimination while the matrix is regular, else by those determinants themselves.
void cofactors(const std::vector<double>& a, int64_t n, double* result) {
  std::vector<double> left = a;
  const double whole = determinant(left, n);
  if (whole != 0) {
    std::vector<double> wide(static_cast<size_t>(2 * n * n), 0.0);
    for (int64_t i = 0; i < n; ++i) {
      std::copy_n(a.data() + i * n, n, wide.data() + i * 2 * n);
      wide[static_cast<size_t>(i * 2 * n + n + i)] = 1;
    }
    auto row = [&](int64_t i) { return wide.data() + i * 2 * n; };
    for (int64_t k = 0; k < n; ++k) {
      int64_t pivot = k;
      for (int64_t i = k + 1; i < n; ++i) {
        if (std::abs(row(i)[k]) > std::abs(row(pivot)[k])) pivot = i;
      }
      if (pivot != k) std::swap_ranges(row(k), row(k) + 2 * n, row(pivot));
      const double diagonal = row(k)[k];
      for (int64_t j = 0; j < 2 * n; ++j) row(k)[j] /= diagonal;
      for (int64_t i = 0; i < n; ++i) {
        const double factor = i == k ? 0 : row(i)[k];
        if (factor == 0) continue;
        for (int64_t j = 0; j < 2 * n; ++j) row(i)[j] -= factor * row(k)[j];
      }
    }
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) result[j * n + i] = whole * row(i)[n + j];
    }
    return;
  }
  std::vector<double> minor;
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      minor.clear();
      for (int64_t at = 0; at < n * n; ++at) {
        if (at / n != i && at % n != j) minor.push_back(a[static_cast<size_t>(at)]);
      }
      result[i * n + j] = ((i + j) % 2 ? -1 : 1) * determinant(minor, n - 1);
    }
  }
}

Status infer_cofactors(InferContext& c) {
  TRY(infer_det(c));
  c.set(0, c.type(0));
  return {};
}

Status eval_cofactors(EvalContext& c) {
  const Tensor x = TRY(as_dtype(c.tensor(0), DType::kF64));
  Tensor y = TRY(c.allocate(DType::kF64, x.extents()));
  const int64_t n = x.extents().back();
  std::vector<double> matrix;
  for (int64_t at = 0; at < x.elements(); at += n * n) {
    const double* from = x.data<double>().data() + at;
    matrix.assign(from, from + n * n);
    cofactors(matrix, n, y.mutable_data<double>().data() + at);
  }
  c.set(TRY(as_dtype(y, c.tensor(0).dtype())));
  return {};
}

// A gradient with a value for each matrix, for each entry.
Value* for_entries(GraphBuilder& b, Value* x) { return b.unsqueeze(x, {-2, -1}); }

Status det_vjp(VjpContext& c) {
  c.set(0, c.b.mul(for_entries(c.b, c.gradient()), c.b.op("Cofactors", {c.operand(0)})));
  return c.b.status();
}

// Of a regular matrix: (sum(g * C) C - C g' C) / det.
Status cofactors_vjp(VjpContext& c) {
  const Shape shape = TRY(known_shape(c.operand(0), "the input"));
  std::vector<int64_t> flip(shape.size());
  std::iota(flip.begin(), flip.end(), 0);
  std::swap(flip[flip.size() - 1], flip[flip.size() - 2]);
  const int64_t last = static_cast<int64_t>(shape.size()) - 1;
  Value *y = c.output(), *g = c.gradient();
  Value* total = c.b.reduce_sum(c.b.mul(g, y), {last - 1, last}, true);
  Value* turned = c.b.matmul(c.b.matmul(y, c.b.transpose(g, flip)), y);
  Value* det = for_entries(c.b, c.b.op("Det", {c.operand(0)}));
  ScalarExpr t = ScalarExpr::arg(0), m = ScalarExpr::arg(1), u = ScalarExpr::arg(2), d = ScalarExpr::arg(3);
  c.set(0, c.b.map((t * m - u) / d, {total, y, turned, det}));
  return c.b.status();
}

}  // namespace

constinit const StructuredOp ops::Det = {.inputs = {1, 1},
                                         .outputs = {1, 1},
                                         .attrs = {},
                                         .infer = infer_det,
                                         .eval = eval_det};
constinit const GradientRule gradients::Det = {.vjp = det_vjp};
constinit const StructuredOp ops::Cofactors = {.inputs = {1, 1},
                                               .outputs = {1, 1},
                                               .attrs = {},
                                               .infer = infer_cofactors,
                                               .eval = eval_cofactors};
constinit const GradientRule gradients::Cofactors = {.vjp = cofactors_vjp};

}  // namespace gannet
