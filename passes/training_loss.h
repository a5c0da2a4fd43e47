// What a training step minimizes: a scalar built from what the model predicts and what it should.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ir/builder.h"

namespace gannet {

enum class Loss {
  kCrossEntropy,        // of the softmax over the classes
  kMse,                 // (x - target)^2
  kBinaryCrossEntropy,  // of the sigmoid of each element
  kL1,                  // |x - target|
  kHuber,               // quadratic below `huber_delta`, linear above
  kKl,                  // divergence of the softmax over the classes from target probabilities
};

// The formulas are PyTorch's with reduction "mean" (kKl: "batchmean"), each option meaning what it does
// there.
struct LossOptions {
  Loss kind = Loss::kCrossEntropy;
  // kCrossEntropy: "target" holds a probability for each class instead of a class number.
  bool soft_labels = false;
  double label_smoothing = 0;  // kCrossEntropy; from 0 to 1
  // A weight for each class. kCrossEntropy with class numbers: the mean is divided by the weights of the
  // targets. kBinaryCrossEntropy: of the positive part of the loss (pos_weight).
  std::vector<double> class_weights = {};
  std::optional<int64_t> ignore_index =
      {};  // kCrossEntropy with class numbers: positions that count for nothing
  double huber_delta = 1;
  // Which axis of the output holds the classes. Class numbers have the other axes.
  int64_t class_axis = 1;
  // Each row's loss is multiplied by its "sample_weight" before the mean, whose divisor stays what it was.
  bool sample_weights = false;
};

// The name of the loss for people: "cross entropy".
std::string_view name_of(Loss loss);

// Appends the loss of `prediction` (logits for cross entropies and kKl) to the builder's graph and adds the
// inputs "target" and, where asked, "sample_weight" (rank 1, a number for each row, dtype of `prediction`) to
// it. "target" is i64 class numbers for kCrossEntropy without soft labels, else of the type of `prediction`;
// trailing axes of 1 (a global pooling) are no label positions. Returns a rank-0 value of the dtype of
// `prediction`. Errors name what does not fit: the rank, the number of class weights, an option that the loss
// does not have.
Result<Value*> build_loss(GraphBuilder& b, const LossOptions& options, Value* prediction);

}  // namespace gannet
