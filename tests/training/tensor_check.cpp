#include "tests/training/tensor_check.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace gannet::test {

void expect_close(const Tensor& given, const Tensor& expected, double tolerance, const std::string& what) {
  ASSERT_EQ(type_string(given), type_string(expected)) << what;
  double largest = 1e-3, difference = 0;
  for (int64_t i = 0; i < expected.elements(); ++i) {
    largest = std::max(largest, std::abs(expected.double_at(i)));
    difference = std::max(difference, std::abs(given.double_at(i) - expected.double_at(i)));
    ASSERT_TRUE(std::isfinite(given.double_at(i))) << what << " element " << i;
  }
  EXPECT_LE(difference, tolerance * largest) << what;
}

}  // namespace gannet::test
