#include "tools/driver/training_runner.h"

#include "tools/deploy/run_artifact.h"
#include "tools/driver/compile.h"

namespace gannet {

Result<std::unique_ptr<GraphRunner>> make_training_runner(std::unique_ptr<Graph> graph, std::string_view pipeline,
                                                          const RunnerOptions& options, MemoryAim* memory) {
  if (options.reference) {
    TRY(round_for_reference(*graph, options.compile, pipeline));
    return make_reference_runner(std::move(graph), options.limits);
  }
  const CompiledModel compiled = TRY(compile_graph(*graph, options.compile, pipeline, {}, memory));
  std::unique_ptr<Session> session = TRY(make_session(compiled.program, options.threads, options.seed, options.limits));
  // The session has what States begin with; held here as well, it would be copied by the first update.
  for (const ProgramState& state : compiled.program->states)
    compiled.program->constants[static_cast<size_t>(state.initial)] = Tensor();
  return make_session_runner(*compiled.program, std::move(session));
}

}  // namespace gannet
