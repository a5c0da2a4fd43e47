// One of ONNX's backend test cases as a gradient case: the gradients of its float inputs against differences.
#pragma once

#include <string>
#include <vector>

#include "ir/base/error.h"

namespace gannet::test {

struct InputDifference {
  std::string input;  // its name; empty where the case has no gradient at all
  std::string reason;
};

struct CaseGradients {
  int64_t elements = 0;                      // compared; 0 where no float depends on a float
  std::vector<InputDifference> differences;  // the first element of each input that differs
};

// Reads model.onnx and the first data set of `folder`, makes every float f64, and differentiates a weighted sum of all
// float results that are finite with respect to each float input: a tensor, or the tensors of a sequence or an optional.
// At most `most_elements` of an input, chosen by a fixed seed, are moved. Integer inputs, which are axes and extents, are
// constants. Inputs whose stored numbers are memory that was never set (denormal or beyond 1e30) are random numbers from 0 to 1.
//
// Stored inputs lie on ties and kinks more often than random ones. A gradient is right when it is the central
// difference, or lies between the slopes to the left and to the right. Where the result jumps, is NaN or is refused on one
// side, it is the slope of the other side, or infinite where that side grows without bound towards the element. An
// element without a slope on either side is not compared.
//
// A case that cannot be imported has no elements: the conformance tests answer for it.
CaseGradients check_case_gradients(const std::string& folder, int64_t most_elements);

}  // namespace gannet::test
