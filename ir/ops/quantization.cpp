#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"
#include "ir/ops/quantization_grid.h"
#include "ir/ops/quantize.h"

namespace gannet {
namespace {

constexpr AttrDef kQuantizeAttrs[] = {int_attr("axis", 1), int_attr("block_size", 0),
                                      dtype_attr("output_dtype", DType::kUndefined),
                                      dtype_attr("precision", DType::kUndefined), int_attr("saturate", 1)};
constexpr AttrDef kDequantizeAttrs[] = {int_attr("axis", 1), int_attr("block_size", 0),
                                        dtype_attr("output_dtype", DType::kUndefined)};

bool is_scale(DType t) { return is_float(t) || t == DType::kF8E8M0 || t == DType::kUndefined; }

Status infer_quantize(InferContext& c) {
  TRY(expect_tensors(c, 2));
  if (c.dtype(0) != DType::kI32) TRY(expect_float(c, 0, "input"));
  if (!is_scale(c.dtype(1)) && c.dtype(1) != DType::kI32) {
    return invalid_model(fmt::format("input 1 (scale) must be a float or i32, got {}", to_string(c.type(1))));
  }
  TRY(check_quantization(c));
  const DType given = c.attrs().dtype("output_dtype");
  DType output = given == DType::kUndefined ? DType::kU8 : given;
  if (c.has(2)) {
    if (given != DType::kUndefined && c.dtype(2) != DType::kUndefined && given != c.dtype(2)) {
      return invalid_model(fmt::format("output_dtype {} differs from the zero point's {}", name_of(given),
                                       name_of(c.dtype(2))));
    }
    output = c.dtype(2);
  }
  if (output != DType::kUndefined && !is_quantized(output)) {
    return invalid_model(fmt::format("{} is not a type to quantize to", name_of(output)));
  }
  const DType precision = c.attrs().dtype("precision");
  if (precision != DType::kUndefined && !is_float(precision)) {
    return invalid_model(fmt::format("precision {} is not a float", name_of(precision)));
  }
  c.set_tensor(0, output, c.type(0).shape);
  return {};
}

// Rounds what a division in f16 or bf16 would have rounded.
template <class T>
T rounded_to(DType dtype, T value) {
  if (dtype == DType::kF16) return static_cast<T>(static_cast<float>(Half(static_cast<float>(value))));
  if (dtype == DType::kBF16) return static_cast<T>(static_cast<float>(BFloat16(static_cast<float>(value))));
  return value;
}

template <class T>
void quantize_all(const QuantizationGrid& grid, DType precision, const Quantizer& quantizer, const T* x,
                  const T* scale, const float* zero, Tensor& y) {
  visit_dtype(y.dtype(), [&]<class Q>(Tag<Q>) {
    if constexpr (can_quantize_to<Q>) {
      Q* out = y.mutable_data<Q>().data();
      grid.for_each_run([&](int64_t first, int64_t parameter, int64_t count, int64_t step) {
        for (int64_t i = 0; i < count; ++i) {
          const int64_t p = parameter + i * step;
          out[first + i] =
              quantizer.quantize<Q>(rounded_to(precision, x[first + i] / scale[p]), zero ? zero[p] : 0.0f);
        }
      });
    }
  });
}

Status eval_quantize(EvalContext& c) {
  // An i32 has more digits than an f32.
  const bool wide = c.tensor(0).dtype() == DType::kI32 || c.tensor(0).dtype() == DType::kF64 ||
                    c.tensor(1).dtype() == DType::kF64;
  const DType compute = wide ? DType::kF64 : DType::kF32;
  const Tensor x = TRY(as_dtype(c.tensor(0), compute)), scale = TRY(as_dtype(c.tensor(1), compute));
  const Tensor zero = c.has(2) ? TRY(as_dtype(c.tensor(2), DType::kF32)) : Tensor();
  const DType asked = c.attrs().dtype("precision");
  const DType precision = asked != DType::kUndefined ? asked : c.tensor(1).dtype();
  Tensor y = TRY(c.allocate());
  const QuantizationGrid grid = quantization_grid(c.attrs(), x.extents(), scale.extents());
  const Quantizer quantizer(y.dtype(), c.attrs().integer("saturate") != 0);
  const float* zeros = zero.defined() ? zero.data<float>().data() : nullptr;
  visit_compute(compute, [&]<class T>(Tag<T>) {
    quantize_all<T>(grid, precision, quantizer, x.data<T>().data(), scale.data<T>().data(), zeros, y);
  });
  c.set(std::move(y));
  return {};
}

Status infer_dequantize(InferContext& c) {
  TRY(expect_tensors(c, 2));
  const DType t = c.dtype(0);
  if (t != DType::kUndefined && t != DType::kI32 && !is_quantized(t)) {
    return invalid_model(fmt::format("input 0 must be a quantized tensor, got {}", to_string(c.type(0))));
  }
  if (!is_scale(c.dtype(1)))
    return invalid_model(fmt::format("input 1 (scale) must be a float, got {}", to_string(c.type(1))));
  if (c.has(2)) TRY(expect_same_dtype(c, 0, 2));
  TRY(check_quantization(c));
  DType output = c.attrs().dtype("output_dtype");
  if (output == DType::kUndefined) output = c.dtype(1) == DType::kF8E8M0 ? DType::kF32 : c.dtype(1);
  if (output != DType::kUndefined && !is_float(output)) {
    return invalid_model(fmt::format("output_dtype {} is not a float", name_of(output)));
  }
  c.set_tensor(0, output, c.type(0).shape);
  return {};
}

Status eval_dequantize(EvalContext& c) {
  const DType dtype = c.output_type(0).dtype;
  // The difference of two i32 is exact in f64.
  const DType difference = c.tensor(0).dtype() == DType::kI32 ? DType::kF64 : DType::kF32;
  const DType compute = compute_dtype(dtype);
  const Tensor x = TRY(as_dtype(c.tensor(0), difference)), scale = TRY(as_dtype(c.tensor(1), compute));
  const Tensor zero = c.has(2) ? TRY(as_dtype(c.tensor(2), difference)) : Tensor();
  Tensor y = TRY(c.allocate(compute, x.extents()));
  const QuantizationGrid grid = quantization_grid(c.attrs(), x.extents(), scale.extents());
  visit_compute(difference, [&]<class D>(Tag<D>) {
    const D* from = x.data<D>().data();
    const D* zeros = zero.defined() ? zero.data<D>().data() : nullptr;
    visit_compute(compute, [&]<class T>(Tag<T>) {
      const T* scales = scale.data<T>().data();
      T* out = y.mutable_data<T>().data();
      grid.for_each_run([&](int64_t first, int64_t parameter, int64_t count, int64_t step) {
        for (int64_t i = 0; i < count; ++i) {
          const int64_t p = parameter + i * step;
          out[first + i] = static_cast<T>(from[first + i] - (zeros ? zeros[p] : D(0))) * scales[p];
        }
      });
    });
  });
  c.set(TRY(as_dtype(y, dtype)));
  return {};
}

Status infer_dynamic_quantize(InferContext& c) {
  TRY(expect_tensors(c, 1));
  TRY(expect_dtype(c, 0, DType::kF32, "input"));
  c.set_tensor(0, DType::kU8, c.type(0).shape);
  c.set_tensor(1, DType::kF32, Shape{});
  c.set_tensor(2, DType::kU8, Shape{});
  return {};
}

// The range always includes 0, so that 0 has an exact code; a tensor of zeros gets the scale 1.
Status eval_dynamic_quantize(EvalContext& c) {
  const Tensor& x = c.tensor(0);
  float low = 0, high = 0;
  for (float value : x.data<float>()) {
    low = value < low ? value : low;
    high = value > high ? value : high;
  }
  const float scale = high == low ? 1.0f : (high - low) / 255.0f;
  const Quantizer quantizer(DType::kU8, true);
  const float shift = -low / scale;
  const float zero = shift == shift ? std::nearbyint(std::clamp(shift, 0.0f, 255.0f)) : 0.0f;
  Tensor y = TRY(c.allocate(0));
  std::span<uint8_t> out = y.mutable_data<uint8_t>();
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = quantizer.quantize<uint8_t>(x.data<float>()[i] / scale, zero);
  c.set(0, std::move(y));
  c.set(1, Tensor::scalar<float>(scale));
  c.set(2, Tensor::scalar<uint8_t>(static_cast<uint8_t>(zero)));
  return {};
}

// How the parameters of a node lie over the elements of its operand.
struct ParameterLayout {
  enum class Kind { kSingle, kAlongAxis, kBlocks } kind = Kind::kSingle;
  size_t axis = 0;
  Shape x, parameter;
  Value* block_of = nullptr;  // for kBlocks: the block of each position along the axis
};

Result<ParameterLayout> parameter_layout(VjpContext& c) {
  ParameterLayout layout;
  layout.x = TRY(known_shape(c.operand(0), "the input"));
  layout.parameter = TRY(known_shape(c.operand(1), "the scale"));
  const int64_t rank = static_cast<int64_t>(layout.x.size()), block = c.attrs().integer("block_size");
  if (layout.parameter.empty() || (block == 0 && layout.parameter[0].is_constant(1))) return layout;
  layout.axis = rank == 1 ? 0 : static_cast<size_t>(TRY(normalize_axis(c.attrs().integer("axis"), rank)));
  layout.kind = block == 0 ? ParameterLayout::Kind::kAlongAxis : ParameterLayout::Kind::kBlocks;
  if (block == 0) return layout;
  auto number = [&](const Dim& value) { return c.b.squeeze(c.b.dims({value}), {0}); };
  Value* positions = c.b.op("Range", {number(Dim(0)), number(layout.x[layout.axis]), number(Dim(1))});
  layout.block_of = c.b.div(positions, number(Dim(block)));
  return layout;
}

// A parameter of `dtype` that broadcasts over the elements.
Value* over_elements(VjpContext& c, const ParameterLayout& layout, Value* parameter, DType dtype) {
  Value* p = c.b.cast(parameter, dtype);
  if (layout.kind == ParameterLayout::Kind::kSingle) return c.b.reshape(p, {});
  if (layout.kind == ParameterLayout::Kind::kBlocks) {
    return c.b.op("Gather", {p, layout.block_of}, {{"axis", static_cast<int64_t>(layout.axis)}});
  }
  Shape aligned(layout.x.size(), Dim(1));
  aligned[layout.axis] = layout.parameter[0];
  return c.b.reshape(p, aligned);
}

// The adjoint: a gradient for each element summed to one for each parameter.
Value* to_parameters(VjpContext& c, const ParameterLayout& layout, Value* gradients) {
  if (layout.kind == ParameterLayout::Kind::kBlocks) {
    return c.b.op("GatherGradient", {gradients, layout.block_of, c.b.dims(layout.parameter)}, {{"axis", static_cast<int64_t>(layout.axis)}});
  }
  Shape aligned(layout.kind == ParameterLayout::Kind::kSingle ? 0 : layout.x.size(), Dim(1));
  if (!aligned.empty()) aligned[layout.axis] = layout.parameter[0];
  return c.b.reshape(c.b.sum_to(gradients, aligned), layout.parameter);
}

// Straight through the rounding: a code moves as x / scale does while it lies within the range of its type, and not at all
// at its ends.
Status quantize_vjp(VjpContext& c) {
  GraphBuilder& b = c.b;
  Value *x = c.operand(0), *scale = c.operand(1), *dy = c.gradient();
  if (!is_float(x->type.dtype) || !is_float(scale->type.dtype)) return unsupported("there is no gradient of a quantization of integers");
  const ParameterLayout layout = TRY(parameter_layout(c));
  const DType dtype = dy->type.dtype, code = c.output()->type.dtype;
  Value *wide = b.cast(x, dtype), *s = over_elements(c, layout, scale, dtype);
  Value* zero = c.operand(2) ? over_elements(c, layout, c.operand(2), dtype) : b.number(0, dy);
  ScalarExpr g = ScalarExpr::arg(0), e = ScalarExpr::arg(1), q = ScalarExpr::arg(2), z = ScalarExpr::arg(3);
  ScalarExpr inside = g;
  if (is_int(code)) {
    const double levels = static_cast<double>(int64_t{1} << element_bits(code)), low = is_signed_int(code) ? -levels / 2 : 0;
    ScalarExpr rounded = scalar::round(e / q) + z;
    inside = select(rounded >= low && rounded <= low + levels - 1, g, 0);
  }
  if (c.wants(0)) c.set(0, b.cast(b.sum_to(b.map(inside / q, {dy, wide, s, zero}), layout.x), x->type.dtype));
  if (c.wants(1)) c.set(1, b.cast(to_parameters(c, layout, b.map(-inside * e / (q * q), {dy, wide, s, zero})), scale->type.dtype));
  return b.status();
}

Status dequantize_vjp(VjpContext& c) {
  GraphBuilder& b = c.b;
  Value *x = c.operand(0), *scale = c.operand(1), *dy = c.gradient();
  const ParameterLayout layout = TRY(parameter_layout(c));
  const DType dtype = dy->type.dtype;
  if (c.wants(0)) c.set(0, b.mul(dy, over_elements(c, layout, scale, dtype)));
  if (!c.wants(1)) return b.status();
  Value* code = b.cast(x, dtype);
  if (c.operand(2)) code = b.sub(code, over_elements(c, layout, c.operand(2), dtype));
  c.set(1, b.cast(to_parameters(c, layout, b.mul(dy, code)), scale->type.dtype));
  return b.status();
}

// Straight through, with the scale that the data gave taken as constant.
Status dynamic_quantize_vjp(VjpContext& c) {
  if (c.gradient(0)) c.set(0, c.b.div(c.b.cast(c.gradient(0), DType::kF32), c.output(1)));
  return c.b.status();
}

}  // namespace

constinit const StructuredOp ops::QuantizeLinear = {.inputs = {2, 3},
                                                    .outputs = {1, 1},
                                                    .attrs = kQuantizeAttrs,
                                                    .infer = infer_quantize,
                                                    .eval = eval_quantize};
constinit const GradientRule gradients::QuantizeLinear = {.vjp = quantize_vjp};
constinit const StructuredOp ops::DequantizeLinear = {.inputs = {2, 3},
                                                      .outputs = {1, 1},
                                                      .attrs = kDequantizeAttrs,
                                                      .infer = infer_dequantize,
                                                      .eval = eval_dequantize};
constinit const GradientRule gradients::DequantizeLinear = {.vjp = dequantize_vjp};
constinit const StructuredOp ops::DynamicQuantizeLinear = {.inputs = {1, 1},
                                                           .outputs = {3, 3},
                                                           .attrs = {},
                                                           .infer = infer_dynamic_quantize,
                                                           .eval = eval_dynamic_quantize};
constinit const GradientRule gradients::DynamicQuantizeLinear = {.vjp = dynamic_quantize_vjp};

}  // namespace gannet
