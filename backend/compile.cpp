#include "backend/backend.h"

namespace gannet {

Result<CompiledProgram> lower_to_program(const Graph& graph, const CompileOptions& options) {
  return lower_to_program(graph, [&] {
    std::vector<std::unique_ptr<Backend>> backends;
    if (options.use_primitives) backends.push_back(make_onednn_backend(options));
    if (options.generate_code) backends.push_back(make_llvm_backend(options));
    return backends;
  });
}

}  // namespace gannet
