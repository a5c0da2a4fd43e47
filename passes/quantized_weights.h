// Weights that a file holds as codes behind DequantizeLinear. Each is trained as the numbers that its codes stand for, and
// rounded to codes again in every run, so that a step computes with what the file will hold.
#pragma once

#include <string>
#include <vector>

#include "ir/attributes.h"
#include "ir/base/error.h"
#include "ir/base/tensor.h"
#include "ir/graph.h"

namespace gannet {

struct QuantizedWeight {
  std::string state;    // name of the State that holds the numbers
  Origin origin;        // of the codes
  Attributes attrs;     // of their DequantizeLinear
  DType code = DType::kUndefined;
  Tensor scale;
  Tensor zero_point;    // undefined where there is none
};

// Puts a constant of the numbers, with the origin of the codes, in place of each constant of codes in `graph` (subgraphs not
// included) that comes from the file, whose scale and zero point are constant, and which only DequantizeLinear nodes
// with the same parameters read: numbers -> QuantizeLinear -> DequantizeLinear. 32-bit codes (biases) are not rounded in a run:
// their steps are smaller than the rounding of the sums that they join. QLinearConv and QLinearMatMul become DequantizeLinear,
// the layer and QuantizeLinear first. Codes that would not come back the same stay as they are.
// Returned without the names of States.
Result<std::vector<QuantizedWeight>> open_quantized_weights(Graph& graph);

// The codes nearest to `numbers`.
Result<Tensor> quantize_again(const QuantizedWeight& weight, const Tensor& numbers);

// The names of tensors of codes from the file, behind DequantizeLinear in `graph`.
std::vector<std::string> names_of_codes(const Graph& graph);

}  // namespace gannet
