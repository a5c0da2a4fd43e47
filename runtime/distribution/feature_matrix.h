// What a model says about many pictures: a vector of features for each. The measures of this folder tell how
// two such sets differ; they compute in f64, and nothing depends on the number of threads.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace gannet {

struct FeatureMatrix {
  int64_t rows = 0, width = 0;
  std::vector<float> values;  // [rows, width]

  std::span<const float> row(int64_t index) const {
    return std::span(values).subspan(static_cast<size_t>(index * width), static_cast<size_t>(width));
  }
};

}  // namespace gannet
