#include "tools/driver/compile.h"

#include <CLI/CLI.hpp>

#include "tools/driver/model_inputs.h"

namespace gannet {

Result<CompiledModel> compile_graph(Graph& graph, const CompileOptions& options, std::string_view pipeline, const RunOptions& passes,
                                    MemoryAim* memory) {
  const std::vector<InputSpec> specs = input_specs(graph);
  PassContext context(preferred_forms(options));
  if (memory) context.memory = *memory;
  TRY(run_passes(graph, find_pipeline(pipeline), context, passes));
  if (memory) *memory = context.memory;
  CompiledProgram compiled = TRY(lower_to_program(graph, options));
  for (size_t i = 0; i < specs.size(); ++i) compiled.program->inputs[i].index_bound = specs[i].index_bound;
  return CompiledModel{std::move(compiled.program), std::move(compiled.placements), context.remarks()};
}

void add_backend_argument(CLI::App& command, std::string& backend) {
  command.add_option("--backend", backend, "compiled, or reference: each op's definition, slow")
      ->check(CLI::IsMember({"compiled", "reference"}))->capture_default_str();
}

void add_compile_arguments(CLI::App& command, CompileOptions& options) {
  command.add_flag("!--no-cache", options.cache, "compile everything anew");
  command.add_flag("!--codegen-only", options.use_onednn, "do without oneDNN: smaller to deploy and quicker to start, slower for large models");
}

}  // namespace gannet
