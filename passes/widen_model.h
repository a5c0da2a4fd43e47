// A model of 16-bit floats as one of f32, which is what trains: updates are smaller than f16 can hold.
#pragma once

#include "ir/base/error.h"
#include "ir/graph.h"

namespace gannet {

// Turns every f16 and bf16 value of `graph` and its subgraphs into f32: constants (which keep their origin, so that
// export writes them in the file's type again), casts, results. Inputs and outputs of the model keep their types,
// behind Casts. True when there was anything to do.
Result<bool> widen_model(Graph& graph);

}  // namespace gannet
