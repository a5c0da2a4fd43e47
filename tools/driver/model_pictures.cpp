#include "tools/driver/model_pictures.h"

namespace gannet {

std::optional<InputNormalization> normalization_of(const Graph& graph) {
  return graph.inputs().size() == 1 ? find_input_normalization(*graph.inputs()[0]) : std::nullopt;
}

bool takes_pictures(std::span<const InputSpec> inputs) {
  if (inputs.size() != 1 || !inputs[0].type.is_tensor() || !inputs[0].type.shape) return false;
  const DType dtype = inputs[0].type.dtype;
  return inputs[0].type.rank() == 4 && (is_float(dtype) || dtype == DType::kU8);
}

}  // namespace gannet
