// What a person wants to know about a tensor at a glance.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ir/base/tensor.h"

namespace gannet {

struct TensorStatistics {
  int64_t elements = 0;
  int64_t nans = 0;
  int64_t infinities = 0;
  // Of the finite elements of a real tensor (false is 0, true is 1); nothing where there are none.
  struct Moments {
    double min = 0, max = 0, mean = 0, std = 0;  // std of the whole population
  };
  std::optional<Moments> moments;
  std::vector<std::string> first;  // the first few elements as text, exact for integers; strings are quoted
};

TensorStatistics statistics(const Tensor& tensor, int64_t first_count = 5);
// "min -1.5 max 2 mean 0.1 std 0.7, 3 NaN; 1 2 3 ..."
std::string to_string(const TensorStatistics& statistics);
// Element `index` as text.
std::string element_text(const Tensor& tensor, int64_t index);

struct Ranked {
  int64_t index = 0;
  double value = 0;
};

// The `k` largest elements of row `row` of a real tensor, where rows run along the last dimension (a scalar
// is one row): largest first, the lower index first among equals, NaN after all numbers.
std::vector<Ranked> top_k(const Tensor& tensor, int64_t row, int64_t k);

}  // namespace gannet
