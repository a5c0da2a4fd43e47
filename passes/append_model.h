// A model as a part of a larger graph: what joins a generator and a discriminator into one, so that what one gives flows
// into the other without a copy. A model may be appended several times; the copies share what stands for its weights.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ir/base/error.h"
#include "ir/graph.h"

namespace gannet {

// What stands for a model's inputs and for the `in` of its States, in their orders; all are values of the larger graph.
struct ModelBindings {
  std::vector<Value*> inputs;
  std::vector<Value*> states;
};

// Appends the nodes of `model` to `graph`, with `prefix` before their names, and gives the values of its outputs. Its
// symbols become the extents of the values that are bound; those that no input has are fresh ones. States of the model
// keep nothing but their places: what `out` they have is left out. An error names an input and both types where dtype,
// rank or an extent do not agree.
Result<std::vector<Value*>> append_model(Graph& graph, const Graph& model, const ModelBindings& bindings,
                                         const std::string& prefix);

}  // namespace gannet
