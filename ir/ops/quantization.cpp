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

}  // namespace

constinit const StructuredOp ops::QuantizeLinear = {.inputs = {2, 3},
                                                    .outputs = {1, 1},
                                                    .attrs = kQuantizeAttrs,
                                                    .infer = infer_quantize,
                                                    .eval = eval_quantize,
                                                    .vjp = missing_gradient};
constinit const StructuredOp ops::DequantizeLinear = {.inputs = {2, 3},
                                                      .outputs = {1, 1},
                                                      .attrs = kDequantizeAttrs,
                                                      .infer = infer_dequantize,
                                                      .eval = eval_dequantize,
                                                      .vjp = missing_gradient};
constinit const StructuredOp ops::DynamicQuantizeLinear = {.inputs = {1, 1},
                                                           .outputs = {3, 3},
                                                           .attrs = {},
                                                           .infer = infer_dynamic_quantize,
                                                           .eval = eval_dynamic_quantize,
                                                           .vjp = missing_gradient};

}  // namespace gannet
