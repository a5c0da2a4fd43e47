// Where every node of a user's file went: what became of it in the passes, which step computes it on which backend and
// together with what, or why it has no kernel. `gannet explain` prints it as text, JSON or a page.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "frontend/import.h"
#include "runtime/core/session.h"
#include "tools/driver/compile.h"

namespace gannet {

enum class Outcome : uint8_t {
  kEval,      // steps of which one at least is the op's own definition
  kKernel,    // steps of backends
  kView,      // no work: another shape of the same memory, or memory that others write
  kConstant,  // known before the model runs
  kMerged,    // its result is that of another node
  kRemoved,   // no result depends on it, or it did nothing
};
std::string_view name_of(Outcome outcome);

struct StepRef {
  int32_t program = 0;
  int32_t step = 0;
  auto operator<=>(const StepRef&) const = default;
};

// A pass changed what stands for a node.
struct PassEvent {
  std::string pass;     // "import" for reading the file
  std::string becomes;  // "Gelu", "constant", "nothing"
};

struct ExplainedNode {
  Outcome outcome = Outcome::kRemoved;
  std::string backend;             // of kKernel: "onednn", "llvm", or "onednn+llvm"
  std::vector<StepRef> steps;
  std::vector<int32_t> together;   // other nodes of the file that its steps compute
  std::string same_as;             // of kMerged: the name of the node
  std::vector<PassEvent> events;
  std::vector<std::string> refused;  // "onednn: f64"
  std::vector<Remark> remarks;
};

// A Program of the model: its own, or the body of an Eval step.
struct ExplainedProgram {
  const Program* program = nullptr;
  StepRef owner;          // of a body
  std::string attribute;  // of a body: "then_branch"
};

struct Explanation {
  ImportedModel model;
  CompiledModel compiled;
  std::vector<ExplainedNode> nodes;         // as ImportedModel::nodes
  std::vector<ExplainedProgram> programs;   // as Placement::program
  std::vector<std::vector<int32_t>> step_nodes;  // of each step of the model's own program: the nodes it computes
  std::string isa;
  DType product_dtype = DType::kF32;  // of CompileOptions
  // Of one run: the extents of the inputs and what stood in the arena; `not_run` says why there was none.
  std::vector<std::pair<std::string, std::string>> inputs;
  std::vector<std::pair<std::string, std::string>> outputs;
  int64_t output_bytes = 0;  // of those that have memory of their own
  std::vector<PlannedMemory> plan;
  SessionMemory memory;
  int64_t constant_bytes = 0;
  int threads = 0;
  std::string not_run;
};

// Compiles `model` and says where its nodes went.
Result<Explanation> explain_model(ImportedModel model, const CompileOptions& options);
// Runs the compiled model once on `inputs`, for the sizes of its memory.
void measure_memory(Explanation& explanation, std::span<const Datum> inputs, int threads, const Limits& limits);

// "Conv 'conv1'", or with a path for nodes of subgraphs: "If 'if1' / then_branch / Add 'a'".
std::string title_of(const Explanation& explanation, int32_t node);
// "onednn", "llvm", "eval", "copy".
std::string_view backend_of(const Step& step);
// What runs: "kernel 12", "convolution", "the definition of NonZero".
std::string kernel_of(const Step& step);
// Why the node has no kernel, or what passes say of it, in one line; empty where there is nothing to say.
std::string note_of(const Explanation& explanation, int32_t node);

std::string explanation_json(const Explanation& explanation);
std::string explanation_html(const Explanation& explanation);
// The summary, what has no kernel, memory, and with `all_nodes` a line for each node.
std::string explanation_text(const Explanation& explanation);

}  // namespace gannet
