// Two models that choose each other's training data, for labels some of which are wrong: a model fits clean labels
// before it fits wrong ones, so the rows of small loss are likely clean; each takes those that the other chose, so
// that neither feeds on its own mistakes. Han et al., "Co-teaching: robust training of deep neural networks with
// extremely noisy labels" (2018), algorithm 1.
#pragma once

#include <vector>

#include "passes/training_loss.h"

namespace gannet {

struct CoTeachingOptions {
  double forget_rate = 0;      // share of a batch that counts for nothing in the end, from 0 to below 1
  int64_t ramp_batches = 0;    // in which that share grows from 0, linearly
  std::vector<Tensor> initial; // what the States of the second model begin with, in the order of the model's
};

struct CoTeachingLoss {
  Value* minimized = nullptr;  // the sum of both models' losses, each of the rows that the other chose
  Value* reported = nullptr;   // their mean
  State batches;               // counts batches: the caller appends it behind all other States
};

// The loss of `first` and `second`, predictions of one type. Of a batch of N rows the floor((1 - rate) * N) with the
// smallest losses count, at least one, the first among equals. Adds the input "target". An error names a loss
// option for which the mean is not over rows alike: weights of classes or rows, an ignored class.
Result<CoTeachingLoss> build_co_teaching_loss(GraphBuilder& b, const CoTeachingOptions& options,
                                              const LossOptions& loss, Value* first, Value* second);

}  // namespace gannet
