// The first pass of a training pipeline: weights of the user's file become State, before anything folds them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ir/base/error.h"
#include "ir/graph.h"

namespace gannet {

struct WeightSelection {
  std::vector<std::string> freeze;  // name patterns ('*' and '?') of weights that stay constant
};

struct WeightReport {
  std::vector<std::string> trained;
  std::vector<std::string> frozen;  // by a pattern, or running statistics of a batch normalization
};

// Turns every weight of `graph` into a State named after its origin: a floating point constant that comes from the
// user's file and has more than one element, or is a layer's parameter. One tensor of the file that is used twice gives one State. Running
// means and variances of BatchNormalization stay constants. An error when nothing is left to train.
Result<WeightReport> weights_to_state(Graph& graph, const WeightSelection& selection = {});

// True when `text` matches `pattern`, in which '*' stands for any run of characters and '?' for any one.
bool matches_pattern(std::string_view pattern, std::string_view text);

}  // namespace gannet
