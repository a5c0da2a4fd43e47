// A fixed batch made symbolic: constants that hold it as part of a shape follow.
#pragma once

#include <cstdint>
#include <utility>

#include "frontend/upgrade.h"
#include "ir/base/dim.h"
#include "ir/graph.h"

namespace gannet {

// The extent that the batch has in the file, and the symbol that stands for it now.
using Rebatch = std::pair<int64_t, Dim>;

// Rewrites the shape operand of a Reshape, Expand or Resize whose constant holds the old batch, and repeats
// constant parts of a Concat and constant states of a recurrent layer for each of the batch. An error when a
// constant shape cannot be right for every batch.
Status rebatch(const Rebatch& batch, UpgradeContext& c);

// Infers the whole graph for another batch; an error names the node where something still holds the old one.
Status check_batch(const Graph& graph, const Rebatch& batch);

}  // namespace gannet
