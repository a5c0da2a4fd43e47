// From a Graph to a Program. Each node goes to the first backend, in order of preference, that takes it; what none
// takes becomes an Eval step, so nothing is unsupported for want of a kernel.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/program_builder.h"
#include "ir/graph.h"
#include "ir/target.h"
#include "runtime/core/program.h"

namespace gannet {

// A backend's answer for a node: taken, or why not ("f64", "a symbolic kernel extent").
struct Lowering {
  bool taken = false;
  std::string reason;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string_view name() const = 0;
  // Appends the steps that compute `node`, or leaves `builder` as it was.
  virtual Result<Lowering> lower(const Node& node, ProgramBuilder& builder) = 0;
  // Called once after the last node of the graph: compiles what was asked for and hands it to the builder.
  virtual Status finish(ProgramBuilder& builder) = 0;
};

// Where a node went, for `gannet explain`. Programs are numbered in the order in which they are lowered: 0 is the model's,
// and the bodies of a program follow it, each with its own bodies after it.
struct Placement {
  std::string node;     // its name, or that of its first result
  std::string op;
  std::string backend;  // "onednn", "llvm", "view", "eval"
  std::vector<std::string> refused;  // "onednn: f64"
  std::vector<int32_t> sources;      // Node::sources
  int32_t program = 0;
  int32_t first_step = 0;  // steps first_step to end_step compute it; none for a view, or what is written by others
  int32_t end_step = 0;
};

struct CompileOptions {
  Target target = host_target();
  DType product_dtype = DType::kF32;  // as PassContext has it
  int jobs = 0;              // threads that compile; 0: available_cores()
  bool cache = true;         // of object code, on disk
  std::string cache_folder;  // empty: $XDG_CACHE_HOME/gannet or ~/.cache/gannet
  bool generate_code = true;   // the LLVM backend
  bool use_onednn = true;      // else only kernels of our own come before generated code
  // Where set, what all machine code is taken from; a kernel that no image has is an Unsupported error that
  // names its node.
  std::optional<std::vector<std::shared_ptr<const CodeImage>>> code;
};

struct CompiledProgram {
  std::shared_ptr<Program> program;
  std::vector<Placement> placements;
};

// Backends in order of preference. Called once for the graph and once for each subgraph that runs as a program of
// its own.
using BackendFactory = std::function<std::vector<std::unique_ptr<Backend>>()>;

// Lowers a graph on which the passes have run. Its nodes stay as they are; tensors are shared.
Result<CompiledProgram> lower_to_program(const Graph& graph, const BackendFactory& backends);
// With the backends that `options` ask for (compile.cpp).
Result<CompiledProgram> lower_to_program(const Graph& graph, const CompileOptions& options);

// What passes are to aim at: the target as kernels of the backends that `options` ask for prefer it.
Target preferred_forms(const CompileOptions& options);

std::unique_ptr<Backend> make_llvm_backend(const CompileOptions& options);
std::unique_ptr<Backend> make_onednn_backend(const CompileOptions& options);

}  // namespace gannet
