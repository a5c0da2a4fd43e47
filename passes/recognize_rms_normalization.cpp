// RMSNormalization from x / sqrt(mean(x * x) + epsilon) * scale over trailing dimensions.
#include "passes/match_normalization.h"

namespace gannet {

Result<bool> recognize_rms_normalization(Graph& graph, PassContext& context) {
  return recognize_trailing_normalization(graph, context, false);
}

}  // namespace gannet
