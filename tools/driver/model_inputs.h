// The inputs of a Graph as tools/deploy asks for them.
#pragma once

#include <string>
#include <vector>

#include "ir/graph.h"
#include "tools/deploy/model_inputs.h"

namespace gannet {

// Random integers stay below the number of rows of the tables that they index.
std::vector<InputSpec> input_specs(const Graph& graph);
// InputArguments::read_pb of programs that know ONNX.
Result<Datum> read_pb_input(const std::string& path, const Type& type, const Limits& limits);

}  // namespace gannet
