#include <fmt/format.h>

#include "ir/ops/contraction_dtype.h"
#include "ir/ops/convolution.h"
#include "ir/ops/float_compute.h"
#include "ir/ops/flops.h"
#include "ir/ops/matrix_product.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"
#include "ir/ops/quantize.h"

namespace gannet {
namespace {

constexpr AttrDef kConvAttrs[] = {string_attr("auto_pad", "NOTSET"),
                                  optional_attr("dilations", AttrKind::kInts),
                                  int_attr("group", 1),
                                  optional_attr("kernel_shape", AttrKind::kInts),
                                  optional_attr("pads", AttrKind::kInts),
                                  optional_attr("strides", AttrKind::kInts)};

Status expect_byte(const InferContext& c, size_t i, std::string_view role) {
  const DType t = c.dtype(i);
  if (t == DType::kI8 || t == DType::kU8 || t == DType::kUndefined) return {};
  return invalid_model(fmt::format("input {} ({}) must be i8 or u8, got {}", i, role, to_string(c.type(i))));
}

bool is_scalar(const Shape& shape) { return shape.empty() || (shape.size() == 1 && shape[0].is_constant(1)); }

// A parameter is one number, or one for each of `count` rows, columns or channels, in a list or in a shape
// that broadcasts against the operand.
Status check_parameter(const InferContext& c, size_t i, const std::optional<Dim>& count,
                       std::string_view role) {
  const Shape* shape = c.shape(i);
  if (!shape || is_scalar(*shape) || !count) return {};
  const Dim elements = element_count(*shape);
  if (!elements.is_constant() || !count->is_constant() || elements == *count) return {};
  return invalid_model(
      fmt::format("input {} ({}) has {} elements for {}", i, role, elements.to_string(), count->to_string()));
}

// Which parameter belongs to which run of elements: each index of an axis has its own, and perhaps each batch
// too.
struct ParameterView {
  AxisView view;
  int64_t repeats = 1;  // runs of all indices that share their parameters, within a batch

  int64_t runs() const { return view.inner == 0 ? 0 : view.outer * view.length; }
  // Of run `i`, for a list of `count` parameters.
  size_t index(int64_t i, int64_t count) const {
    return static_cast<size_t>((i / (repeats * view.length) * view.length + i % view.length) % count);
  }
};

// element - zero point, as u32 that wraps.
Result<Tensor> centred(const Tensor& x, const Tensor* zero, const ParameterView& parameters) {
  Tensor y = TRY(convert(x, DType::kU32));
  if (!zero || zero->elements() == 0) return y;
  const std::vector<int64_t> zeros = zero->ints();
  std::span<uint32_t> out = y.mutable_data<uint32_t>();
  if (zeros.size() == 1) {
    for (uint32_t& value : out) value -= static_cast<uint32_t>(zeros[0]);
    return y;
  }
  const int64_t count = zero->elements(), inner = parameters.view.inner;
  for (int64_t i = 0; i < parameters.runs(); ++i) {
    const uint32_t z = static_cast<uint32_t>(zeros[parameters.index(i, count)]);
    for (int64_t j = 0; j < inner; ++j) out[static_cast<size_t>(i * inner + j)] -= z;
  }
  return y;
}

// Rows of the left operand and columns of the right one have parameters of their own.
ParameterView rows_of(const Tensor& a) {
  if (a.rank() < 2) return {AxisView{1, 1, a.elements()}, 1};
  return {view_axis(a.extents(), a.rank() - 2), 1};
}
ParameterView columns_of(const Tensor& b) {
  if (b.rank() < 2) return {AxisView{1, 1, b.elements()}, 1};
  return {view_axis(b.extents(), b.rank() - 1), b.extent(b.rank() - 2)};
}

std::optional<Dim> row_count(const InferContext& c, size_t i) {
  const Shape* shape = c.shape(i);
  if (!shape) return std::nullopt;
  return shape->size() < 2 ? Dim(1) : element_count(std::span<const Dim>(*shape).first(shape->size() - 1));
}

Result<std::optional<Shape>> product_shape(const InferContext& c, size_t a, size_t b) {
  if (!c.shape(a) || !c.shape(b)) return std::optional<Shape>();
  return std::optional(TRY(matmul_shape(*c.shape(a), *c.shape(b))));
}

Status infer_matmul_integer(InferContext& c) {
  TRY(expect_tensors(c, 2));
  TRY(expect_byte(c, 0, "left matrix"));
  TRY(expect_byte(c, 1, "right matrix"));
  if (c.has(2)) TRY(expect_same_dtype(c, 0, 2));
  if (c.has(3)) TRY(expect_same_dtype(c, 1, 3));
  c.set_tensor(0, DType::kI32, TRY(product_shape(c, 0, 1)));
  return {};
}

// The product of centred operands, as i32.
Result<Tensor> integer_product(EvalContext& c, const Tensor& a, const Tensor* a_zero, const Tensor& b,
                               const Tensor* b_zero) {
  const Tensor left = TRY(centred(a, a_zero, rows_of(a))), right = TRY(centred(b, b_zero, columns_of(b)));
  Tensor y = TRY(c.allocate(DType::kU32, static_extents(*c.output_type(0).shape)));
  matmul<uint32_t>({left.data<uint32_t>().data(), left.extents()},
                   {right.data<uint32_t>().data(), right.extents()}, y.mutable_data<uint32_t>().data());
  return convert(y, DType::kI32);
}

Status eval_matmul_integer(EvalContext& c) {
  c.set(TRY(integer_product(c, c.tensor(0), c.has(2) ? &c.tensor(2) : nullptr, c.tensor(1),
                            c.has(3) ? &c.tensor(3) : nullptr)));
  return {};
}

// The first extent of operand i, where it is known that there is one.
std::optional<Dim> first_extent(const InferContext& c, size_t i) {
  const Shape* shape = c.shape(i);
  if (!shape || shape->empty()) return std::nullopt;
  return shape->front();
}

Status infer_conv_integer(InferContext& c) {
  TRY(expect_tensors(c, 2));
  TRY(expect_byte(c, 0, "input"));
  TRY(expect_byte(c, 1, "weights"));
  if (c.has(2)) TRY(expect_same_dtype(c, 0, 2));
  if (c.has(3)) TRY(expect_same_dtype(c, 1, 3));
  c.set_tensor(0, DType::kI32, TRY(convolution_shape(c, {0, 1, -1})));
  if (c.has(2)) TRY(check_parameter(c, 2, Dim(1), "input zero point"));
  if (c.has(3)) TRY(check_parameter(c, 3, first_extent(c, 1), "weight zero point"));
  return {};
}

// The convolution of centred operands, so that padding counts as zero; plus the bias where there is one.
Result<Tensor> integer_convolution(EvalContext& c, const Tensor& x, const Tensor* x_zero, const Tensor& w,
                                   const Tensor* w_zero, const Tensor* bias) {
  const Tensor input = TRY(centred(x, x_zero, {AxisView{1, 1, x.elements()}, 1}));
  const Tensor weights = TRY(centred(w, w_zero, {view_axis(w.extents(), 0), 1}));
  const Tensor added = bias ? TRY(convert(*bias, DType::kU32)) : Tensor();
  Tensor y = TRY(c.allocate(DType::kU32, static_extents(*c.output_type(0).shape)));
  const ConvolutionGeometry g = TRY(convolution_geometry(c.attrs(), x.extents(), w.extents(), y.extents()));
  convolve<uint32_t>(g, input.data<uint32_t>().data(), weights.data<uint32_t>().data(),
                     bias ? added.data<uint32_t>().data() : nullptr, y.mutable_data<uint32_t>().data());
  return convert(y, DType::kI32);
}

Status eval_conv_integer(EvalContext& c) {
  c.set(TRY(integer_convolution(c, c.tensor(0), c.has(2) ? &c.tensor(2) : nullptr, c.tensor(1),
                                c.has(3) ? &c.tensor(3) : nullptr, nullptr)));
  return {};
}

Status expect_scale(const InferContext& c, size_t i) { return expect_float(c, i, "scale"); }

// Operands: x, its scale and zero point, w, its scale and zero point, y's scale and zero point, and a bias.
Status infer_qlinear_conv(InferContext& c) {
  TRY(expect_tensors(c, 8));
  for (size_t i : {0, 3, 7}) TRY(expect_byte(c, i, "quantized operand"));
  for (size_t i : {1, 4, 6}) TRY(expect_scale(c, i));
  TRY(expect_same_dtype(c, 0, 2));
  TRY(expect_same_dtype(c, 3, 5));
  if (c.has(8)) TRY(expect_dtype(c, 8, DType::kI32, "bias"));
  for (size_t i : {1, 2, 6, 7}) TRY(check_parameter(c, i, Dim(1), "parameter"));
  const std::optional<Dim> channels = first_extent(c, 3);
  for (size_t i : {4, 5}) TRY(check_parameter(c, i, channels, "parameter of the weights"));
  c.set_tensor(0, c.dtype(7), TRY(convolution_shape(c, {0, 3, 8})));
  return {};
}

// saturate(round(accumulated * scale) + zero point); `scales` holds one number, or one for each index of the
// view's axis.
Result<Tensor> requantized(EvalContext& c, const Tensor& sums, const std::vector<double>& scales,
                           const Tensor& zero, const AxisView& view) {
  Tensor y = TRY(c.allocate());
  const Tensor wide = TRY(as_dtype(sums, DType::kF64));
  const double* x = wide.data<double>().data();
  const Quantizer quantizer(y.dtype(), true);
  const float shift = static_cast<float>(zero.double_at(0));
  visit_dtype(y.dtype(), [&]<class Q>(Tag<Q>) {
    if constexpr (can_quantize_to<Q>) {
      Q* out = y.mutable_data<Q>().data();
      for (int64_t i = 0; i < view.outer * view.length; ++i) {
        const double scale = scales[static_cast<size_t>(i) % scales.size()];
        for (int64_t j = i * view.inner; j < (i + 1) * view.inner; ++j)
          out[j] = quantizer.quantize<Q>(x[j] * scale, shift);
      }
    }
  });
  return y;
}

Result<std::vector<double>> all_values(const Tensor& tensor, const EvalContext& c) {
  std::vector<double> values;
  for (int64_t i = 0; i < tensor.elements(); ++i) values.push_back(tensor.double_at(i));
  if (values.empty()) return invalid_model(fmt::format("a scale of {} is empty", c.op().name));
  return values;
}

Status check_single(const EvalContext& c, std::initializer_list<size_t> operands) {
  for (size_t i : operands) {
    if (c.tensor(i).elements() != 1)
      return invalid_model(fmt::format("input {} has {} elements, not one", i, c.tensor(i).elements()));
  }
  return {};
}

Status eval_qlinear_conv(EvalContext& c) {
  TRY(check_single(c, {1, 2, 6, 7}));
  const Tensor& w = c.tensor(3);
  std::vector<double> scales = TRY(all_values(c.tensor(4), c));
  for (double& scale : scales) scale *= c.tensor(1).double_at(0) / c.tensor(6).double_at(0);
  const Tensor sums = TRY(
      integer_convolution(c, c.tensor(0), &c.tensor(2), w, &c.tensor(5), c.has(8) ? &c.tensor(8) : nullptr));
  c.set(TRY(requantized(c, sums, scales, c.tensor(7), view_axis(sums.extents(), 1))));
  return {};
}

// Operands: a, its scale and zero point, b, its scale and zero point, y's scale and zero point.
Status infer_qlinear_matmul(InferContext& c) {
  TRY(expect_tensors(c, 8));
  for (size_t i : {0, 3, 7}) {
    const DType t = c.dtype(i);
    if (!(is_small_float(t) && t != DType::kF8E8M0 && t != DType::kF4E2M1))
      TRY(expect_byte(c, i, "quantized operand"));
  }
  for (size_t i : {1, 4, 6}) TRY(expect_scale(c, i));
  TRY(expect_same_dtype(c, 0, 2));
  TRY(expect_same_dtype(c, 3, 5));
  for (size_t i : {1, 2}) TRY(check_parameter(c, i, row_count(c, 0), "parameter of the rows"));
  for (size_t i : {6, 7}) TRY(check_parameter(c, i, Dim(1), "parameter"));
  c.set_tensor(0, c.dtype(7), TRY(product_shape(c, 0, 3)));
  return {};
}

// (element - zero point) * scale, as f32.
Result<Tensor> dequantized(const Tensor& x, const Tensor& scale, const Tensor& zero,
                           const ParameterView& parameters) {
  Tensor y = TRY(convert(x, DType::kF32));
  const Tensor scales = TRY(as_dtype(scale, DType::kF32)), zeros = TRY(as_dtype(zero, DType::kF32));
  float* out = y.mutable_data<float>().data();
  const int64_t inner = parameters.view.inner;
  for (int64_t i = 0; i < parameters.runs(); ++i) {
    const float s = scales.data<float>()[parameters.index(i, scales.elements())];
    const float z = zeros.data<float>()[parameters.index(i, zeros.elements())];
    for (int64_t j = i * inner; j < (i + 1) * inner; ++j) out[j] = (out[j] - z) * s;
  }
  return y;
}

Status qlinear_float_matmul(EvalContext& c) {
  const Tensor a = TRY(dequantized(c.tensor(0), c.tensor(1), c.tensor(2), rows_of(c.tensor(0))));
  const Tensor b = TRY(dequantized(c.tensor(3), c.tensor(4), c.tensor(5), columns_of(c.tensor(3))));
  Tensor product = TRY(c.allocate(DType::kF32, static_extents(*c.output_type(0).shape)));
  matmul<float>({a.data<float>().data(), a.extents()}, {b.data<float>().data(), b.extents()},
                product.mutable_data<float>().data());
  c.set(TRY(requantized(c, product, {1 / c.tensor(6).double_at(0)}, c.tensor(7),
                        AxisView{1, 1, product.elements()})));
  return {};
}

Status eval_qlinear_matmul(EvalContext& c) {
  TRY(check_single(c, {6, 7}));
  for (size_t i : {1, 2, 4, 5}) {
    if (c.tensor(i).elements() == 0) return invalid_model(fmt::format("input {} is empty", i));
  }
  if (is_small_float(c.tensor(0).dtype()) || is_small_float(c.tensor(3).dtype()))
    return qlinear_float_matmul(c);
  const bool plain = c.tensor(1).elements() == 1 && c.tensor(4).elements() == 1;
  if (!plain) return qlinear_float_matmul(c);
  const Tensor sums = TRY(integer_product(c, c.tensor(0), &c.tensor(2), c.tensor(3), &c.tensor(5)));
  const double scale = c.tensor(1).double_at(0) * c.tensor(4).double_at(0) / c.tensor(6).double_at(0);
  c.set(TRY(requantized(c, sums, {scale}, c.tensor(7), AxisView{1, 1, sums.elements()})));
  return {};
}

// For the gradient, the operands are dequantized and the result is quantized, each straight through.
Value* dequantized(GraphBuilder& b, const DecomposeContext& c, size_t i, int64_t axis) {
  return b.op("DequantizeLinear", {c.operand(i), b.cast(c.operand(i + 1), DType::kF32), c.operand(i + 2)}, {{"axis", axis}});
}

Status qlinear_matmul_for_gradient(DecomposeContext& c) {
  GraphBuilder& b = c.b;
  Value* product = b.matmul(dequantized(b, c, 0, -2), dequantized(b, c, 3, -1));
  c.set(0, b.op("QuantizeLinear", {product, b.cast(c.operand(6), DType::kF32), c.operand(7)}));
  return {};
}

Status qlinear_conv_for_gradient(DecomposeContext& c) {
  GraphBuilder& b = c.b;
  Value* bias = nullptr;
  if (c.operand(8)) {
    Value* scale = b.mul(b.cast(c.operand(1), DType::kF32), b.cast(c.operand(4), DType::kF32));
    bias = b.op("DequantizeLinear", {c.operand(8), scale}, {{"axis", int64_t{0}}});
  }
  Value* result = b.op("Conv", {dequantized(b, c, 0, 1), dequantized(b, c, 3, 0), bias}, c.attrs());
  c.set(0, b.op("QuantizeLinear", {result, b.cast(c.operand(6), DType::kF32), c.operand(7)}));
  return {};
}

}  // namespace

constinit const StructuredOp ops::MatMulInteger = {.inputs = {2, 4},
                                                   .outputs = {1, 1},
                                                   .attrs = {},
                                                   .infer = infer_matmul_integer,
                                                   .eval = eval_matmul_integer,
                                                   .no_gradient = "integers",
                                                   .flops = matmul_flops};
constinit const StructuredOp ops::ConvInteger = {.inputs = {2, 4},
                                                 .outputs = {1, 1},
                                                 .attrs = kConvAttrs,
                                                 .infer = infer_conv_integer,
                                                 .eval = eval_conv_integer,
                                                 .no_gradient = "integers",
                                                 .flops = conv_flops};
constinit const StructuredOp ops::QLinearConv = {.inputs = {8, 9},
                                                 .outputs = {1, 1},
                                                 .attrs = kConvAttrs,
                                                 .infer = infer_qlinear_conv,
                                                 .eval = eval_qlinear_conv};
constinit const GradientRule gradients::QLinearConv = {.for_gradient = qlinear_conv_for_gradient};
constinit const StructuredOp ops::QLinearMatMul = {.inputs = {8, 8},
                                                   .outputs = {1, 1},
                                                   .attrs = {},
                                                   .infer = infer_qlinear_matmul,
                                                   .eval = eval_qlinear_matmul};
constinit const GradientRule gradients::QLinearMatMul = {.for_gradient = qlinear_matmul_for_gradient};

}  // namespace gannet
