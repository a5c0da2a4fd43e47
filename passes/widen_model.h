// A model of narrow floats as one of wider ones: f32 is what trains, since updates are smaller than f16 can
// hold.
#pragma once

#include "ir/base/error.h"
#include "ir/graph.h"

namespace gannet {

// Turns every float of `graph` and its subgraphs that is narrower than `to` (f32 or f64; f16 and bf16, f32)
// into it: constants (which keep their origin, so that export writes them in the file's type again), casts,
// results. Inputs and outputs of the model keep their types, behind Casts. Done before weights become State.
// True when there was anything to do.
Result<bool> widen_model(Graph& graph, DType to = DType::kF32);

// Makes inputs and outputs that widen_model left in a narrow type, behind Casts, those of the wide one: for models that are
// joined with others.
void widen_ends(Graph& graph);

}  // namespace gannet
