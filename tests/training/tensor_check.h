// Comparing tensors that two ways of training give.
#pragma once

#include <string>

#include "ir/base/tensor.h"

namespace gannet::test {

// Equal types, finite elements, and no difference above `tolerance` times the largest magnitude expected (or 1e-3).
void expect_close(const Tensor& given, const Tensor& expected, double tolerance, const std::string& what);

}  // namespace gannet::test
