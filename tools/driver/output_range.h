// What a model's graph says of the values that it gives.
#pragma once

#include <string>

#include "ir/graph.h"

namespace gannet {

struct OutputRange {
  double low = -1, high = 1;
  std::string ending;  // "Tanh"; empty: the graph does not say
};

// The range of `output`, a value that ends in Tanh, Sigmoid, Clip and the like, or in arithmetic and moves behind one.
OutputRange output_range(const Value& output);

}  // namespace gannet
