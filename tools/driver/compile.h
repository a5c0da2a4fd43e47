// From an imported model to a program that runs: the passes, then the backends.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "frontend/import.h"
#include "passes/pass.h"
#include "runtime/core/session.h"
#include "tools/deploy/run_artifact.h"

namespace CLI {
class App;
}

namespace gannet {

struct CompiledModel {
  std::shared_ptr<Program> program;
  std::vector<Placement> placements;
  std::vector<Remark> remarks;
};

// Runs a pipeline over `graph` and lowers it: "inference", or "training" for what build_train_step makes. Random
// integers of inputs keep the bounds that follow from the graph as it was. `memory` is PassContext::memory.
Result<CompiledModel> compile_graph(Graph& graph, const CompileOptions& options, std::string_view pipeline = "inference",
                                    const RunOptions& passes = {}, MemoryAim* memory = nullptr);

// Adds --backend: "compiled" or "reference".
void add_backend_argument(CLI::App& command, std::string& backend);
// For the reference evaluator: with operands of products rounded as `options` say, which is where passes end; `graph` stays
// as it is for f32.
Status round_for_reference(Graph& graph, const CompileOptions& options, std::string_view pipeline = "inference");

// Says so where products of bf16 were asked for and options.target, or no library, has them; else empty.
std::string rounding_note(const CompileOptions& options);

// Whether --dtype says at once, on standard error, what this machine lacks: for commands that run here.
enum class DTypeNote { kAtOnce, kLater };
// Adds --dtype, --no-cache and --codegen-only.
void add_compile_arguments(CLI::App& command, CompileOptions& options, DTypeNote note = DTypeNote::kAtOnce);

}  // namespace gannet
