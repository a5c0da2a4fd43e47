// Where transformers are trained with dropout, found in an export that has lost it.
#pragma once

#include <vector>

#include "ir/graph.h"

namespace gannet {

// The places that Vaswani et al., "Attention is all you need" (2017), section 5.4, and BERT have, as values of `graph`
// in topological order: attention weights (a Softmax whose result is multiplied with something else that depends on
// the input), the end of each residual branch (a linear layer with its bias, right before the sum with what it is a
// residual of), and what the first of these branches is added to, the embeddings. Empty where nothing is attended.
std::vector<Value*> transformer_places(const Graph& graph);

}  // namespace gannet
