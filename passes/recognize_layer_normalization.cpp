// LayerNormalization from (x - mean) / sqrt(variance + epsilon) * scale + bias over trailing dimensions, as PyTorch,
// TensorFlow and Keras write it.
#include "passes/match_normalization.h"

namespace gannet {

Result<bool> recognize_layer_normalization(Graph& graph, PassContext& context) {
  return recognize_trailing_normalization(graph, context, true);
}

}  // namespace gannet
