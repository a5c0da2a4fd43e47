// Outputs of a model, and the one that a task is about.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace gannet {

struct OutputSpec {
  std::string name;
  Type type;
};
std::vector<OutputSpec> output_specs(const Graph& graph);

struct ChosenOutput {
  std::string name;
  std::optional<int64_t> rank, width;  // where they are known; width: extent of the last axis
  std::optional<int64_t> classes = {};  // extent of axis 1, where there is one and it is known
};
// The output `wanted`, or where that is empty the first floating point one.
std::optional<ChosenOutput> choose_output(std::span<const OutputSpec> outputs, const std::string& wanted);

}  // namespace gannet
