#include <fmt/format.h>

#include <algorithm>

#include "ir/contraction.h"
#include "ir/ops/contraction_dtype.h"
#include "ir/ops/float_compute.h"
#include "ir/ops/flops.h"
#include "ir/ops/matrix_product.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"

namespace gannet {

Result<Shape> matmul_shape(Shape a, Shape b) {
  if (a.empty() || b.empty()) return invalid_model("a matrix product takes operands of rank 1 or more");
  const bool row = a.size() == 1, column = b.size() == 1;
  if (row) a.insert(a.begin(), Dim(1));
  if (column) b.push_back(Dim(1));
  const Dim &left = a.back(), &right = b[b.size() - 2];
  if (left.is_constant() && right.is_constant() && left != right) {
    return invalid_model(fmt::format("inner extents {} and {} differ (shapes {} and {})", left.to_string(),
                                     right.to_string(), to_string(std::span<const Dim>(a)),
                                     to_string(std::span<const Dim>(b))));
  }
  Shape result = TRY(broadcast_shapes({a.begin(), a.end() - 2}, {b.begin(), b.end() - 2}));
  if (!row) result.push_back(a[a.size() - 2]);
  if (!column) result.push_back(b.back());
  return result;
}

// Steps between the matrices of a batched operand, one for each batch dimension; 0 where it is broadcast.
static std::vector<int64_t> batch_strides(std::span<const int64_t> extents, size_t rank, int64_t matrix) {
  std::vector<int64_t> strides(rank, 0);
  const size_t missing = rank - (extents.size() - 2);
  for (size_t d = rank; d-- > missing;) {
    strides[d] = extents[d - missing] == 1 ? 0 : matrix;
    matrix *= extents[d - missing];
  }
  return strides;
}

// Where matrix number `index` of the batch starts.
static int64_t batch_start(int64_t index, std::span<const int64_t> batch, std::span<const int64_t> strides) {
  int64_t start = 0;
  for (size_t d = batch.size(); d-- > 0;) {
    start += index % batch[d] * strides[d];
    index /= batch[d];
  }
  return start;
}

template <class T>
void matmul(const MatmulOperand<T>& a, const MatmulOperand<T>& b, T* y) {
  std::vector<int64_t> x(a.extents), w(b.extents);
  if (x.size() == 1) x.insert(x.begin(), 1);
  if (w.size() == 1) w.push_back(1);
  const int64_t m = x[x.size() - 2], k = x.back(), n = w.back();
  const size_t rank = std::max(x.size(), w.size()) - 2;
  std::vector<int64_t> batch(rank, 1);
  for (size_t d = 0; d < rank; ++d) {
    for (const std::vector<int64_t>* extents : {&x, &w}) {
      if (d + extents->size() < rank + 2) continue;
      int64_t extent = (*extents)[d + extents->size() - 2 - rank];
      if (extent != 1) batch[d] = extent;
    }
  }
  if (m == 0 || n == 0 || std::find(batch.begin(), batch.end(), 0) != batch.end()) return;
  int64_t count = 1;
  for (int64_t extent : batch) count *= extent;
  // One matrix on the right for all: the batch is nothing but more rows.
  if (w.size() == 2)
    return multiply<T>({count * m, n, k}, {a.data, k, 1}, MatrixView<T>{b.data, n, 1}, {y, n, false});
  const std::vector<int64_t> left = batch_strides(x, rank, m * k), right = batch_strides(w, rank, k * n);
  for (int64_t i = 0; i < count; ++i) {
    multiply<T>({m, n, k}, {a.data + batch_start(i, batch, left), k, 1},
                MatrixView<T>{b.data + batch_start(i, batch, right), n, 1}, {y + i * m * n, n, false});
  }
}

template void matmul<float>(const MatmulOperand<float>&, const MatmulOperand<float>&, float*);
template void matmul<double>(const MatmulOperand<double>&, const MatmulOperand<double>&, double*);
template void matmul<uint32_t>(const MatmulOperand<uint32_t>&, const MatmulOperand<uint32_t>&, uint32_t*);
template void matmul<uint64_t>(const MatmulOperand<uint64_t>&, const MatmulOperand<uint64_t>&, uint64_t*);

namespace {

Status expect_matrix_numbers(const InferContext& c) {
  const DType t = c.dtype(0);
  if (is_float(t) || t == DType::kUndefined ||
      ((is_signed_int(t) || is_unsigned_int(t)) && element_size(t) >= 4))
    return {};
  return invalid_model(
      fmt::format("input 0 must be a float or an integer of 32 or 64 bits, got {}", name_of(t)));
}

Status infer_matmul(InferContext& c) {
  TRY(expect_tensors(c, 2));
  TRY(expect_matrix_numbers(c));
  TRY(expect_same_dtype(c, 0, 1));
  std::optional<Shape> shape;
  if (c.shape(0) && c.shape(1)) shape = TRY(matmul_shape(*c.shape(0), *c.shape(1)));
  c.set_tensor(0, c.dtype(0), std::move(shape));
  return {};
}

Status eval_matmul(EvalContext& c) {
  const DType dtype = c.tensor(0).dtype(), wide = contraction_dtype(dtype);
  const Tensor a = TRY(as_dtype(c.tensor(0), wide)), b = TRY(as_dtype(c.tensor(1), wide));
  Tensor y = TRY(c.allocate(wide, static_extents(*c.output_type(0).shape)));
  visit_contraction(wide, [&]<class T>(Tag<T>) {
    matmul<T>({a.data<T>().data(), a.extents()}, {b.data<T>().data(), b.extents()},
              y.mutable_data<T>().data());
  });
  c.set(TRY(as_dtype(y, dtype)));
  return {};
}

// The last two dimensions exchanged.
Value* transposed(GraphBuilder& b, Value* x, size_t rank) {
  std::vector<int64_t> permutation;
  for (size_t d = 0; d < rank; ++d) permutation.push_back(static_cast<int64_t>(d));
  std::swap(permutation[rank - 1], permutation[rank - 2]);
  return b.transpose(x, std::move(permutation));
}

// a^T dy summed over the batch, where one matrix on the right serves all of it: rows of the batch are just more rows, so
// that there is one product instead of one for each of the batch and their sum.
Value* weights_gradient(GraphBuilder& b, Value* a, const Shape& x, Value* dy, const Dim& columns) {
  const Dim rows = element_count(std::span<const Dim>(x.data(), x.size() - 1));
  return b.matmul(b.transpose(b.reshape(a, Shape{rows, x.back()}), {1, 0}), b.reshape(dy, Shape{rows, columns}));
}

// Operands of rank 1 are seen as a row and a column; sums over broadcast batch dimensions give the operands'
// shapes.
Status matmul_vjp(VjpContext& c) {
  Value *a = c.operand(0), *b = c.operand(1), *dy = c.gradient();
  const Shape x = TRY(known_shape(a, "the left operand")), w = TRY(known_shape(b, "the right operand"));
  Value* left = x.size() == 1 ? c.b.unsqueeze(a, {0}) : a;
  Value* right = w.size() == 1 ? c.b.unsqueeze(b, {1}) : b;
  if (w.size() == 1) dy = c.b.unsqueeze(dy, {-1});
  if (x.size() == 1) dy = c.b.unsqueeze(dy, {-2});
  if (!c.b.status().ok()) return c.b.status();
  auto fit = [&](Value* gradient, const Shape& wide, const Shape& shape) {
    gradient = c.b.sum_to(gradient, wide);
    return shape.size() == 1 ? c.b.reshape(gradient, shape) : gradient;
  };
  const Shape wide_x = TRY(known_shape(left, "the left operand")),
              wide_w = TRY(known_shape(right, "the right operand"));
  if (c.wants(0)) c.set(0, fit(c.b.matmul(dy, transposed(c.b, right, wide_w.size())), wide_x, x));
  if (c.wants(1) && w.size() == 2 && x.size() > 2) c.set(1, weights_gradient(c.b, a, x, dy, w.back()));
  else if (c.wants(1)) c.set(1, fit(c.b.matmul(transposed(c.b, left, wide_x.size()), dy), wide_w, w));
  return c.b.status();
}

constexpr AttrDef kGemmAttrs[] = {float_attr("alpha", 1.0f), float_attr("beta", 1.0f), int_attr("transA", 0),
                                  int_attr("transB", 0)};

Status infer_gemm(InferContext& c) {
  TRY(expect_tensors(c, 2));
  TRY(expect_matrix_numbers(c));
  TRY(expect_same_dtype(c, 0, 1));
  if (c.has(2)) TRY(expect_same_dtype(c, 0, 2));
  TRY(expect_rank(c, 0, 2, "left matrix"));
  TRY(expect_rank(c, 1, 2, "right matrix"));
  const Shape *a = c.shape(0), *b = c.shape(1);
  const size_t transpose_a = c.attrs().integer("transA") != 0, transpose_b = c.attrs().integer("transB") != 0;
  Shape shape{a ? (*a)[transpose_a] : c.fresh("rows"), b ? (*b)[1 - transpose_b] : c.fresh("columns")};
  if (a && b) {
    const Dim &left = (*a)[1 - transpose_a], &right = (*b)[transpose_b];
    if (left.is_constant() && right.is_constant() && left != right) {
      return invalid_model(
          fmt::format("inner extents {} and {} differ", left.to_string(), right.to_string()));
    }
  }
  if (c.has(2) && c.shape(2)) {
    const Shape whole = TRY(broadcast_shapes(*c.shape(2), shape));
    if (whole.size() != 2)
      return invalid_model(fmt::format("input 2 has rank {}, more than 2", whole.size()));
    for (size_t d = 0; d < 2; ++d) {
      if (shape[d].is_constant() && whole[d].is_constant() && shape[d] != whole[d]) {
        return invalid_model(fmt::format("input 2 {} does not broadcast to {}", to_string(c.type(2)),
                                         to_string(std::span<const Dim>(shape))));
      }
    }
  }
  c.set_tensor(0, c.dtype(0), std::move(shape));
  return {};
}

// y = alpha * y + beta * bias; integers are scaled by the factors' values as integers where those are whole.
template <class T>
void scale_and_add(std::span<T> y, int64_t columns, double alpha, double beta, const Tensor& bias) {
  using Factor = std::conditional_t<std::is_integral_v<T>, T, double>;
  auto factor = [](double value) {
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(saturating_cast<int64_t>(value));
    else
      return value;
  };
  const Factor a = factor(alpha), b = factor(beta);
  if (alpha != 1) {
    for (T& value : y) value = static_cast<T>(a * value);
  }
  if (!bias.defined() || columns == 0) return;
  const std::span<const T> data = bias.data<T>();
  const std::vector<int64_t>& extents = bias.extents();
  const int64_t column_stride = !extents.empty() && extents.back() != 1 ? 1 : 0;
  const int64_t row_stride = extents.size() == 2 && extents[0] != 1 ? extents[1] : 0;
  const int64_t rows = static_cast<int64_t>(y.size()) / columns;
  for (int64_t i = 0; i < rows; ++i) {
    const T* x = data.data() + i * row_stride;
    T* out = y.data() + i * columns;
    for (int64_t j = 0; j < columns; ++j) out[j] = static_cast<T>(out[j] + b * x[j * column_stride]);
  }
}

Status eval_gemm(EvalContext& c) {
  const DType dtype = c.tensor(0).dtype(), wide = contraction_dtype(dtype);
  const Tensor a = TRY(as_dtype(c.tensor(0), wide)), b = TRY(as_dtype(c.tensor(1), wide));
  const Tensor bias = c.has(2) ? TRY(as_dtype(c.tensor(2), wide)) : Tensor();
  Tensor y = TRY(c.allocate(wide, static_extents(*c.output_type(0).shape)));
  const bool transpose_a = c.attrs().integer("transA") != 0, transpose_b = c.attrs().integer("transB") != 0;
  const int64_t m = y.extent(0), n = y.extent(1), k = a.extent(transpose_a ? 0 : 1);
  visit_contraction(wide, [&]<class T>(Tag<T>) {
    const T *left = a.data<T>().data(), *right = b.data<T>().data();
    multiply<T>({m, n, k}, transpose_a ? MatrixView<T>{left, 1, m} : MatrixView<T>{left, k, 1},
                transpose_b ? MatrixView<T>{right, 1, k} : MatrixView<T>{right, n, 1},
                {y.mutable_data<T>().data(), n, false});
    scale_and_add<T>(y.mutable_data<T>(), n, c.attrs().number("alpha"), c.attrs().number("beta"), bias);
  });
  c.set(TRY(as_dtype(y, dtype)));
  return {};
}

Attributes gemm_attrs(float alpha, bool transpose_a, bool transpose_b) {
  return {{"alpha", alpha}, {"transA", int64_t{transpose_a}}, {"transB", int64_t{transpose_b}}};
}

// With P = op(A) op(B): dop(A) = dy op(B)^T and dop(B) = op(A)^T dy; a transposed operand gets the transposed
// product.
Status gemm_vjp(VjpContext& c) {
  Value *a = c.operand(0), *b = c.operand(1), *dy = c.gradient();
  const float alpha = c.attrs().number("alpha"), beta = c.attrs().number("beta");
  const bool transpose_a = c.attrs().integer("transA") != 0, transpose_b = c.attrs().integer("transB") != 0;
  if (c.wants(0)) {
    c.set(0, transpose_a ? c.b.op("Gemm", {b, dy}, gemm_attrs(alpha, transpose_b, true))
                         : c.b.op("Gemm", {dy, b}, gemm_attrs(alpha, false, !transpose_b)));
  }
  if (c.wants(1)) {
    c.set(1, transpose_b ? c.b.op("Gemm", {dy, a}, gemm_attrs(alpha, true, transpose_a))
                         : c.b.op("Gemm", {a, dy}, gemm_attrs(alpha, !transpose_a, false)));
  }
  if (c.wants(2)) {
    Value* scaled = beta == 1.0f ? dy : c.b.mul(dy, c.b.number(beta, dy));
    c.set(2, c.b.sum_to(scaled, TRY(known_shape(c.operand(2), "the added matrix"))));
  }
  return c.b.status();
}

}  // namespace

constinit const StructuredOp ops::MatMul = {.inputs = {2, 2},
                                            .outputs = {1, 1},
                                            .attrs = {},
                                            .infer = infer_matmul,
                                            .eval = eval_matmul,
                                            .flops = matmul_flops};
constinit const GradientRule gradients::MatMul = {.vjp = matmul_vjp};
constinit const StructuredOp ops::Gemm = {.inputs = {2, 3},
                                          .outputs = {1, 1},
                                          .attrs = kGemmAttrs,
                                          .infer = infer_gemm,
                                          .eval = eval_gemm,
                                          .flops = gemm_flops};
constinit const GradientRule gradients::Gemm = {.vjp = gemm_vjp};

}  // namespace gannet
