#include "tools/driver/model_output.h"

namespace gannet {

std::vector<OutputSpec> output_specs(const Graph& graph) {
  std::vector<OutputSpec> specs;
  for (const GraphOutput& output : graph.outputs) specs.push_back({output.name, output.value->type});
  return specs;
}

std::optional<ChosenOutput> choose_output(std::span<const OutputSpec> outputs, const std::string& wanted) {
  for (const OutputSpec& output : outputs) {
    const Type& type = output.type;
    if (!type.is_tensor() || !is_float(type.dtype) || (!wanted.empty() && output.name != wanted)) continue;
    ChosenOutput chosen{output.name, std::nullopt, std::nullopt};
    if (!type.shape) return chosen;
    chosen.rank = static_cast<int64_t>(type.rank());
    if (!type.shape->empty() && type.shape->back().is_constant())
      chosen.width = type.shape->back().constant();
    if (type.shape->size() > 1 && (*type.shape)[1].is_constant()) chosen.classes = (*type.shape)[1].constant();
    return chosen;
  }
  return std::nullopt;
}

}  // namespace gannet
