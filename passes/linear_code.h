// How a QuantizeLinear or DequantizeLinear node reads codes: real = (code - zero) * scale, with known numbers.
#pragma once

#include <optional>
#include <vector>

#include "ir/graph.h"

namespace gannet {

struct LinearCode {
  DType dtype = DType::kUndefined;  // of the codes
  float scale = 1;                  // above 0
  double zero = 0;

  friend bool operator==(const LinearCode&, const LinearCode&) = default;
};

// Of a node over f32 with one scale and zero point for all elements, both Constants; nothing for others.
std::optional<LinearCode> linear_code_of(const Node& node);
// The DequantizeLinear node that makes `value` and has such a code; else null.
Node* decoder_of(const Value* value);

// A constant in codes of 8 bits with one scale for all or for each index along `axis`: element * scales, where the zero
// point is in the elements already.
struct CodedConstant {
  Tensor elements;             // i8
  std::vector<double> scales;  // one, or one for each index
};
// Of a DequantizeLinear of Constants, perhaps with a Transpose behind it or before it; the scales belong to `axis` of
// `value`. Otherwise the reason.
Result<CodedConstant> coded_constant(const Value* value, int64_t axis);

}  // namespace gannet
