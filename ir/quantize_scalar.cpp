#include "ir/quantize_scalar.h"

namespace gannet {

bool is_quantized_integer(DType dtype) {
  return dtype == DType::kI8 || dtype == DType::kU8 || dtype == DType::kI16 || dtype == DType::kU16;
}

double lowest_of(DType dtype) {
  if (!is_signed_int(dtype)) return 0;
  return -static_cast<double>(int64_t{1} << (element_bits(dtype) - 1));
}

double highest_of(DType dtype) {
  return lowest_of(dtype) + static_cast<double>((int64_t{1} << element_bits(dtype)) - 1);
}

ScalarExpr quantize_scalar(const ScalarExpr& x, const ScalarExpr& zero, DType dtype) {
  const ScalarExpr low = lowest_of(dtype), high = highest_of(dtype);
  const ScalarExpr code = select(x == x, scalar::round(x), 0.0) + zero;
  return cast(scalar::min(scalar::max(code, low), high), dtype);
}

}  // namespace gannet
