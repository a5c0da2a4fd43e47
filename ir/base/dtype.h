// Element types. The numbering is that of ONNX's TensorProto.DataType, so no table translates between the two.
#pragma once

#include <complex>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "ir/base/check.h"
#include "ir/base/float_formats.h"

namespace gannet {

enum class DType : uint8_t {
  kUndefined = 0,
  kF32 = 1, kU8 = 2, kI8 = 3, kU16 = 4, kI16 = 5, kI32 = 6, kI64 = 7, kString = 8, kBool = 9,
  kF16 = 10, kF64 = 11, kU32 = 12, kU64 = 13, kC64 = 14, kC128 = 15, kBF16 = 16,
  kF8E4M3FN = 17, kF8E4M3FNUZ = 18, kF8E5M2 = 19, kF8E5M2FNUZ = 20,
  kU4 = 21, kI4 = 22, kF4E2M1 = 23, kF8E8M0 = 24, kU2 = 25, kI2 = 26,
};
inline constexpr int kDTypeCount = 27;

// What one element is in memory. `tag<T>` carries a type through a generic lambda.
template <class T>
struct Tag { using type = T; };

// Calls visitor(Tag<T>{}) with the C++ type that stores `dtype`; strings are std::string.
template <class Visitor>
decltype(auto) visit_dtype(DType dtype, Visitor&& visitor) {
  switch (dtype) {
    case DType::kF32: return visitor(Tag<float>{});
    case DType::kU8: return visitor(Tag<uint8_t>{});
    case DType::kI8: return visitor(Tag<int8_t>{});
    case DType::kU16: return visitor(Tag<uint16_t>{});
    case DType::kI16: return visitor(Tag<int16_t>{});
    case DType::kI32: return visitor(Tag<int32_t>{});
    case DType::kI64: return visitor(Tag<int64_t>{});
    case DType::kString: return visitor(Tag<std::string>{});
    case DType::kBool: return visitor(Tag<bool>{});
    case DType::kF16: return visitor(Tag<Half>{});
    case DType::kF64: return visitor(Tag<double>{});
    case DType::kU32: return visitor(Tag<uint32_t>{});
    case DType::kU64: return visitor(Tag<uint64_t>{});
    case DType::kC64: return visitor(Tag<std::complex<float>>{});
    case DType::kC128: return visitor(Tag<std::complex<double>>{});
    case DType::kBF16: return visitor(Tag<BFloat16>{});
    case DType::kF8E4M3FN: return visitor(Tag<SmallFloatStorage<SmallFloat::kE4M3FN>>{});
    case DType::kF8E4M3FNUZ: return visitor(Tag<SmallFloatStorage<SmallFloat::kE4M3FNUZ>>{});
    case DType::kF8E5M2: return visitor(Tag<SmallFloatStorage<SmallFloat::kE5M2>>{});
    case DType::kF8E5M2FNUZ: return visitor(Tag<SmallFloatStorage<SmallFloat::kE5M2FNUZ>>{});
    case DType::kU4: return visitor(Tag<NarrowInt<4, false>>{});
    case DType::kI4: return visitor(Tag<NarrowInt<4, true>>{});
    case DType::kF4E2M1: return visitor(Tag<SmallFloatStorage<SmallFloat::kE2M1>>{});
    case DType::kF8E8M0: return visitor(Tag<SmallFloatStorage<SmallFloat::kE8M0>>{});
    case DType::kU2: return visitor(Tag<NarrowInt<2, false>>{});
    case DType::kI2: return visitor(Tag<NarrowInt<2, true>>{});
    case DType::kUndefined: break;
  }
  CHECK(false, "element type {} cannot be stored", static_cast<int>(dtype));
  __builtin_unreachable();
}

// The DType of a C++ storage type, the inverse of visit_dtype.
template <class T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, float>) return DType::kF32;
  else if constexpr (std::is_same_v<T, double>) return DType::kF64;
  else if constexpr (std::is_same_v<T, bool>) return DType::kBool;
  else if constexpr (std::is_same_v<T, int8_t>) return DType::kI8;
  else if constexpr (std::is_same_v<T, uint8_t>) return DType::kU8;
  else if constexpr (std::is_same_v<T, int16_t>) return DType::kI16;
  else if constexpr (std::is_same_v<T, uint16_t>) return DType::kU16;
  else if constexpr (std::is_same_v<T, int32_t>) return DType::kI32;
  else if constexpr (std::is_same_v<T, uint32_t>) return DType::kU32;
  else if constexpr (std::is_same_v<T, int64_t>) return DType::kI64;
  else if constexpr (std::is_same_v<T, uint64_t>) return DType::kU64;
  else if constexpr (std::is_same_v<T, Half>) return DType::kF16;
  else if constexpr (std::is_same_v<T, BFloat16>) return DType::kBF16;
  else if constexpr (std::is_same_v<T, std::string>) return DType::kString;
  else if constexpr (std::is_same_v<T, std::complex<float>>) return DType::kC64;
  else if constexpr (std::is_same_v<T, std::complex<double>>) return DType::kC128;
  else return DType::kUndefined;
}

// f64, f32, f16, bf16: what gradients and most ops accept.
constexpr bool is_float(DType t) {
  return t == DType::kF32 || t == DType::kF64 || t == DType::kF16 || t == DType::kBF16;
}
// The float8 family and float4: storage for quantized graphs.
constexpr bool is_small_float(DType t) {
  return (t >= DType::kF8E4M3FN && t <= DType::kF8E5M2FNUZ) || t == DType::kF4E2M1 || t == DType::kF8E8M0;
}
constexpr bool is_signed_int(DType t) {
  return t == DType::kI8 || t == DType::kI16 || t == DType::kI32 || t == DType::kI64 || t == DType::kI4 || t == DType::kI2;
}
constexpr bool is_unsigned_int(DType t) {
  return t == DType::kU8 || t == DType::kU16 || t == DType::kU32 || t == DType::kU64 || t == DType::kU4 || t == DType::kU2;
}
constexpr bool is_int(DType t) { return is_signed_int(t) || is_unsigned_int(t); }
constexpr bool is_complex(DType t) { return t == DType::kC64 || t == DType::kC128; }

// Bytes of one element in memory (a sub-byte element takes one; a string has no fixed size and gives 0).
int64_t element_size(DType dtype);
// Bits of one element in an ONNX file (4 for u4, 2 for i2); 0 for strings.
int64_t element_bits(DType dtype);

// "f32", "i64", "bool", "f8e4m3fn", ...; the names of the textual IR and of messages.
std::string_view name_of(DType dtype);
std::optional<DType> dtype_from_name(std::string_view name);
// True for every number that ONNX defines and Gannet stores.
constexpr bool is_known_dtype(int64_t number) { return number > 0 && number < kDTypeCount; }

}  // namespace gannet
