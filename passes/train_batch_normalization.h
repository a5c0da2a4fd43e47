// Batch normalization of an inference export in training: normalize by the batch, follow it with running
// statistics.
#pragma once

#include <string>
#include <vector>

#include "ir/base/error.h"
#include "ir/graph.h"

namespace gannet {

// Every BatchNormalization of `graph` in its inference form whose running mean and variance are both States
// becomes one in training mode, and the `out` of the two States their new values: momentum * running + (1 -
// momentum) * batch, with the unbiased variance of the batch. Statistics that several nodes share follow them
// in order. Returns the names of the States in the order of their nodes.
Result<std::vector<std::string>> train_batch_normalization(Graph& graph, double momentum);

}  // namespace gannet
