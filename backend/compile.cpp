#include "backend/backend.h"

namespace gannet {

Result<CompiledProgram> lower_to_program(const Graph& graph, const CompileOptions& options) {
  return lower_to_program(graph, [&] {
    std::vector<std::unique_ptr<Backend>> backends;
    backends.push_back(make_onednn_backend(options));
    if (options.generate_code) backends.push_back(make_llvm_backend(options));
    return backends;
  });
}

Target preferred_forms(const CompileOptions& options) {
  Target target = options.target;
  if (options.use_onednn) return target;
  target.channels_last = target.convolution_epilogues = target.matmul_epilogues = target.fused_attention = false;
  target.integer_products = target.bf16_products = false;
  return target;
}

}  // namespace gannet
