// Whether two results are the same up to rounding.
#pragma once

#include <optional>
#include <string>

#include "ir/base/datum.h"

namespace gannet {

// An element passes when |actual - expected| <= atol + rtol * |expected| + atol_relative * max |expected|,
// where the maximum runs over the finite elements of the expected tensor. NaN equals NaN, an infinity itself.
struct Tolerance {
  double rtol = 1e-3;
  double atol = 1e-7;
  double atol_relative = 0;
};

// Nothing when `actual` equals `expected` within the tolerance. Otherwise the reason: both types, or how many
// elements of how many are beyond it and the worst of them with its index and both values. Strings, bools,
// i64 and u64 must be equal exactly; other integers are compared as numbers (the results of quantized
// graphs); floats narrower than f32 as f32; complex numbers by the magnitude of the difference. Sequences and
// optionals go element by element.
std::optional<std::string> difference(const Datum& actual, const Datum& expected,
                                      const Tolerance& tolerance = {});

}  // namespace gannet
