#include "ir/base/dtype.h"

#include <array>

namespace gannet {
namespace {

constexpr std::array<std::string_view, kDTypeCount> kNames = {
    "undefined",  "f32",    "u8",         "i8",  "u16", "i16",    "i32",    "i64",  "string",
    "bool",       "f16",    "f64",        "u32", "u64", "c64",    "c128",   "bf16", "f8e4m3fn",
    "f8e4m3fnuz", "f8e5m2", "f8e5m2fnuz", "u4",  "i4",  "f4e2m1", "f8e8m0", "u2",   "i2",
};
static_assert(!kNames.back().empty());

}  // namespace

int64_t element_size(DType dtype) {
  if (dtype == DType::kString || dtype == DType::kUndefined) return 0;
  return visit_dtype(dtype, []<class T>(Tag<T>) { return static_cast<int64_t>(sizeof(T)); });
}

int64_t element_bits(DType dtype) {
  switch (dtype) {
    case DType::kU4:
    case DType::kI4:
    case DType::kF4E2M1:
      return 4;
    case DType::kU2:
    case DType::kI2:
      return 2;
    default:
      return element_size(dtype) * 8;
  }
}

std::string_view name_of(DType dtype) {
  const auto number = static_cast<size_t>(dtype);
  return number < kNames.size() ? kNames[number] : kNames[0];
}

std::optional<DType> dtype_from_name(std::string_view name) {
  for (size_t number = 1; number < kNames.size(); ++number) {
    if (kNames[number] == name) return static_cast<DType>(number);
  }
  return std::nullopt;
}

}  // namespace gannet
