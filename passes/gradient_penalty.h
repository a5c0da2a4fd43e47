// Penalties on the gradient of a discriminator's scores with respect to its input. They are made of `differentiate`'s
// nodes, so that the gradient of a loss that holds one is a second derivative.
#pragma once

#include "ir/builder.h"

namespace gannet {

// Appends g, the gradient of the sum of all `scores` with respect to `pictures` [rows, ...]: row by row that of its own
// scores where a score depends on its own row alone. Nodes of the graph may be replaced on the way (differentiate.h).
// An error where the scores do not depend on them, or names the node that has no gradient.
Result<Value*> score_gradient(Graph& graph, Value* scores, Value* pictures);

// The mean over the rows of (|g| - 1)^2, a scalar. Gulrajani et al., "Improved training of Wasserstein GANs" (2017), for
// pictures between real and generated ones. The derivative of |g| at 0 is 0.
Value* distance_from_unit_slope(GraphBuilder& b, Value* gradient);
// The mean over the rows of |g|^2, a scalar. R1 of Mescheder et al., "Which training methods for GANs do actually
// converge?" (2018), is half of it times gamma, for real pictures.
Value* squared_slope(GraphBuilder& b, Value* gradient);

// share * real + (1 - share) * fake for each row; `share` is of [rows].
Value* between(GraphBuilder& b, Value* real, Value* fake, Value* share);

}  // namespace gannet
