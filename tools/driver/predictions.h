// What a model says about many rows: one output as a matrix.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/training/batch_source.h"
#include "tools/driver/runnable_model.h"

namespace gannet {

struct Predictions {
  std::string output;  // its name
  int64_t rows = 0, width = 1;
  std::vector<float> values;  // [rows, width]
};

// `inputs` (one for each input of the model) through the model, and its output `wanted` (empty: the first
// floating point one) appended to `predictions`. An output that is no vector or matrix of the rows, but for
// axes of 1, is an error.
Status predict(const RunnableModel& model, BatchColumns inputs, const std::string& wanted,
               Predictions& predictions);

// Whether every row sums to 1 and no value is negative, as behind a Softmax; whether all are within [0, 1],
// as behind a Sigmoid.
bool are_distributions(const Predictions& predictions);
bool are_probabilities(const Predictions& predictions);
// In place: the softmax of each row; the sigmoid of each value. Nothing where they are probabilities already.
void make_distributions(Predictions& predictions);
void make_probabilities(Predictions& predictions);
// One value a row for two classes becomes the logits or probabilities of both.
void widen_to_two_classes(Predictions& predictions);

}  // namespace gannet
