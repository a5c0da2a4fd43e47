// The first pass of a training pipeline: weights of the user's file become State, before anything folds them.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "ir/base/error.h"
#include "ir/graph.h"
#include "passes/quantized_weights.h"

namespace gannet {

struct WeightSelection {
  std::vector<std::string> freeze = {};  // name patterns ('*' and '?') of weights that stay constant
  // Running means and variances of BatchNormalization become States too, so that build_train_step normalizes by the
  // batch and follows it. Where a pattern freezes one of a pair, that normalization stays as in inference.
  bool running_statistics = false;
};

struct WeightReport {
  std::vector<std::string> trained;             // names of their States
  std::vector<std::string> running_statistics;  // names of the States of those that became one
  std::vector<std::string> frozen;              // by a pattern, or running statistics that stay constants
  std::vector<QuantizedWeight> quantized;       // of the trained ones, those that the file holds as codes
  std::vector<std::string> integers;            // codes behind DequantizeLinear that cannot be trained
};

// Turns every weight of `graph` into a State named after its origin (a second tensor of one name is "name#2"): a floating
// point constant that comes from the user's file and has more than one element, or is a layer's parameter; codes behind DequantizeLinear
// become floating point first (quantized_weights.h), and scales of codes are no weights. Weights in
// bodies of If, Loop and Scan come out of them, where the op has a gradient. One tensor of the file that is used
// twice gives one State. An error when nothing is left to train.
Result<WeightReport> weights_to_state(Graph& graph, const WeightSelection& selection = {});

// `wanted`, or where `names` has that "wanted#2", "wanted#3" and so on; `names` has it then. Names in a file need not be unique
// across subgraphs; those of States are.
std::string unused_name(std::set<std::string>& names, const std::string& wanted);

// True when `text` matches `pattern`, in which '*' stands for any run of characters and '?' for any one.
bool matches_pattern(std::string_view pattern, std::string_view text);

}  // namespace gannet
