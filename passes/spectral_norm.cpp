#include "passes/spectral_norm.h"

#include <cmath>

#include "ir/base/random.h"
#include "ir/op.h"

namespace gannet {

namespace {

using E = ScalarExpr;

// torch.nn.utils.spectral_norm's.
constexpr double kLeastNorm = 1e-12;

// The axis of the outputs where a layer uses a weight of this rank as operand `index`.
std::optional<int64_t> output_axis(const Node& node, int index, int64_t rank) {
  const std::string_view op = node.op().name;
  if (op == "Conv" && index == 1) return 0;
  if (op == "ConvTranspose" && index == 1) return node.attrs.integer("group") == 1 ? std::optional<int64_t>(1) : std::nullopt;
  if (op == "Gemm" && index == 1) return node.attrs.integer("transB") != 0 ? 0 : 1;
  if (op == "MatMul" && index == 1 && rank == 2) return 1;
  return std::nullopt;
}

std::optional<int64_t> output_axis(const Value& weight) {
  std::optional<int64_t> axis;
  for (const Use& use : weight.uses()) {
    std::optional<int64_t> here;
    if (use.node->op().name == "Transpose") {
      here = output_axis(*use.node->output());
      const std::vector<int64_t>& permutation = use.node->attrs.integers("perm");
      const int64_t rank = weight.type.rank();
      if (here) here = permutation.empty() ? rank - 1 - *here : permutation[static_cast<size_t>(*here)];
    } else {
      here = output_axis(*use.node, use.index, weight.type.rank());
    }
    if (!here || (axis && axis != here)) return std::nullopt;
    axis = here;
  }
  return axis;
}

// The matrix [outputs, rest] of a weight, and the permutation that brings the outputs first.
std::vector<int64_t> outputs_first(int64_t rank, int64_t axis) {
  std::vector<int64_t> permutation = {axis};
  for (int64_t i = 0; i < rank; ++i) {
    if (i != axis) permutation.push_back(i);
  }
  return permutation;
}

Value* as_matrix(GraphBuilder& b, Value* weight, int64_t axis) {
  if (axis != 0) weight = b.transpose(weight, outputs_first(weight->type.rank(), axis));
  const Shape& shape = *weight->type.shape;
  return b.reshape(weight, {shape[0], element_count(std::span(shape).subspan(1))});
}

Value* unit(GraphBuilder& b, Value* vector) {
  Value* norm = b.reduce("ReduceL2", vector, {0, 1}, true);
  return b.map(E::arg(0) / scalar::max(E::arg(1), kLeastNorm), {vector, norm});
}

// A weight as f64 rows [outputs][rest].
struct Matrix {
  int64_t rows = 0, columns = 0;
  std::vector<double> elements;
};

Matrix matrix_of(const Tensor& weight, int64_t axis) {
  Matrix matrix{weight.extent(axis), weight.elements() / std::max<int64_t>(weight.extent(axis), 1), {}};
  matrix.elements.resize(static_cast<size_t>(weight.elements()));
  int64_t inner = 1;
  for (int64_t i = axis + 1; i < weight.rank(); ++i) inner *= weight.extent(i);
  for (int64_t i = 0; i < weight.elements(); ++i) {
    const int64_t row = i / inner % matrix.rows, outer = i / inner / matrix.rows;
    matrix.elements[static_cast<size_t>(row * matrix.columns + outer * inner + i % inner)] = weight.double_at(i);
  }
  return matrix;
}

void normalize(std::vector<double>& vector) {
  double sum = 0;
  for (const double x : vector) sum += x * x;
  const double norm = std::max(std::sqrt(sum), kLeastNorm);
  for (double& x : vector) x /= norm;
}

// v = unit(W^T u).
std::vector<double> right_vector(const Matrix& w, const std::vector<double>& u) {
  std::vector<double> v(static_cast<size_t>(w.columns));
  for (int64_t i = 0; i < w.rows; ++i) {
    for (int64_t j = 0; j < w.columns; ++j)
      v[static_cast<size_t>(j)] += w.elements[static_cast<size_t>(i * w.columns + j)] * u[static_cast<size_t>(i)];
  }
  normalize(v);
  return v;
}

std::vector<double> image_of(const Matrix& w, const std::vector<double>& v) {
  std::vector<double> u(static_cast<size_t>(w.rows));
  for (int64_t i = 0; i < w.rows; ++i) {
    for (int64_t j = 0; j < w.columns; ++j)
      u[static_cast<size_t>(i)] += w.elements[static_cast<size_t>(i * w.columns + j)] * v[static_cast<size_t>(j)];
  }
  return u;
}

}  // namespace

std::vector<SpectralWeight> spectral_weights(const Graph& model) {
  std::vector<SpectralWeight> weights;
  for (size_t i = 0; i < model.states.size(); ++i) {
    const Value& value = *model.states[i].in;
    if (!value.type.shape || value.type.rank() < 2 || model.is_result(&value)) continue;
    if (const auto axis = output_axis(value)) weights.push_back({i, *axis});
  }
  return weights;
}

Tensor initial_direction(const Tensor& weight, int64_t output_axis, uint64_t seed, int iterations) {
  const Matrix matrix = matrix_of(weight, output_axis);
  std::vector<double> u(static_cast<size_t>(matrix.rows));
  Random random(seed);
  for (double& x : u) x = random.normal();
  normalize(u);
  for (int i = 0; i < iterations; ++i) {
    u = image_of(matrix, right_vector(matrix, u));
    normalize(u);
  }
  Tensor direction = Tensor::zeros(DType::kF64, {1, matrix.rows});
  std::copy(u.begin(), u.end(), direction.mutable_data<double>().begin());
  Result<Tensor> converted = convert(direction, weight.dtype());
  CHECK(converted.ok(), "{}", converted.error().message);
  return *std::move(converted);
}

NormalizedWeight normalize_spectrum(GraphBuilder& b, Value* weight, Value* variable, Value* direction, int64_t output_axis) {
  Value* matrix = as_matrix(b, weight, output_axis);
  Value* right = unit(b, b.matmul(direction, matrix));                               // [1, rest]
  Value* left = unit(b, b.matmul(right, b.transpose(matrix, {1, 0})));               // [1, outputs]
  Value* image = b.matmul(as_matrix(b, variable, output_axis), b.transpose(right, {1, 0}));  // [outputs, 1]
  Value* largest = b.squeeze(b.matmul(left, image), {0, 1});
  return {b.div(variable, largest), left};
}

Tensor divided_by_spectrum(const Tensor& weight, const Tensor& direction, int64_t output_axis) {
  const Matrix matrix = matrix_of(weight, output_axis);
  std::vector<double> u(static_cast<size_t>(matrix.rows));
  for (size_t i = 0; i < u.size(); ++i) u[i] = direction.double_at(static_cast<int64_t>(i));
  const std::vector<double> image = image_of(matrix, right_vector(matrix, u));
  double largest = 0;
  for (size_t i = 0; i < u.size(); ++i) largest += u[i] * image[i];
  Tensor wide = Tensor::zeros(DType::kF64, weight.extents());
  const std::span<double> values = wide.mutable_data<double>();
  for (int64_t i = 0; i < weight.elements(); ++i) values[static_cast<size_t>(i)] = weight.double_at(i) / largest;
  Result<Tensor> converted = convert(wide, weight.dtype());
  CHECK(converted.ok(), "{}", converted.error().message);
  return *std::move(converted);
}

}  // namespace gannet
