// A second instance of a model in the graph of its training step, with weights that are moving averages of
// the first one's: a teacher. Nothing is copied while it runs; the averages are the States "ema/NAME" that
// the optimizer keeps.
#pragma once

#include <string>
#include <vector>

#include "ir/base/error.h"
#include "ir/graph.h"

namespace gannet {

struct AveragedInstance {
  std::vector<Value*> outputs;  // of the graph's outputs
  // One for each State that the graph had, in their order, not yet among its States: "ema/NAME" with a value
  // of its own to read and, where the first instance computes a next one (running statistics), that of the
  // second.
  std::vector<State> states;
};

// Copies all nodes of `graph` behind them. The copy reads inputs of its own, "teacher/NAME" of the same
// types, but for those with the names `shared`; its SeededDropout nodes have streams of their own.
// Unsupported where shapes depend on data: two instances would have to agree on them.
Result<AveragedInstance> add_averaged_instance(Graph& graph, const std::vector<const Value*>& shared);

// Once the update has been built: `graph` reads the averages. States of `instance` become those of the same
// names that the graph has (the optimizer's), are appended to them where `averages` names them (other graphs
// keep those) or where they have a next value, and else are those of the first instance: weights that do not
// change.
void connect_averages(Graph& graph, const AveragedInstance& instance,
                      const std::vector<std::string>& averages);

}  // namespace gannet
