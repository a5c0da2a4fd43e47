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
  // For labels some of which are wrong. With p the softmax over the classes:
  kBootstrapSoft,            // cross entropy with beta * target + (1 - beta) * p, through which gradients flow
  kBootstrapHard,            // the same with the likeliest class of p in place of p
  kGeneralizedCrossEntropy,  // (1 - p^q) / q of the target's class
};

// Whether a loss is of logits with a class axis.
bool has_classes(Loss loss);
// Whether it takes class numbers, or with `soft_labels` a probability of each class: all that has classes, but
// kKl.
bool takes_classes(Loss loss);

// The formulas are PyTorch's with reduction "mean" (kKl: "batchmean"), each option meaning what it does
// there. Bootstrapping is that of Reed et al., "Training deep neural networks on noisy labels with bootstrapping"
// (2015), the generalized cross entropy that of Zhang and Sabuncu (2018), without truncation; both have the
// options of the cross entropy, of which they are variants: q -> 0 and beta = 1 give it.
struct LossOptions {
  Loss kind = Loss::kCrossEntropy;
  // takes_classes: "target" holds a probability for each class instead of a class number.
  bool soft_labels = false;
  double label_smoothing = 0;  // takes_classes; from 0 to 1
  // A weight for each class. takes_classes with class numbers: the mean is divided by the weights of the
  // targets. kBinaryCrossEntropy: of the positive part of the loss (pos_weight).
  std::vector<double> class_weights = {};
  std::optional<int64_t> ignore_index =
      {};  // takes_classes with class numbers: positions that count for nothing
  std::optional<double> beta = {};  // bootstrapping: share of the given target, from 0 to 1; 0.95 soft, 0.8 hard
  std::optional<double> q = {};     // kGeneralizedCrossEntropy: above 0, at most 1; 0.7
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
// it. "target" is i64 class numbers where takes_classes, without soft labels, else of the type of `prediction`;
// trailing axes of 1 (a global pooling) are no label positions. Returns a rank-0 value of the dtype of
// `prediction`. Errors name what does not fit: the rank, the number of class weights, an option that the loss
// does not have.
Result<Value*> build_loss(GraphBuilder& b, const LossOptions& options, Value* prediction);

// The loss of each row, the mean over its positions, without the weights of rows: [batch], in the dtype of
// `prediction`. Adds the input "target", or takes the one that an earlier call has given.
struct RowLosses {
  Value* rows = nullptr;
  Value* target = nullptr;
};
Result<RowLosses> build_row_losses(GraphBuilder& b, const LossOptions& options, Value* prediction, Value* target);

}  // namespace gannet
