// A pass rewrites a Graph: one function in one file, one row in passes.def, one golden file tests/passes/<pass>.ir.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/graph.h"
#include "ir/target.h"

namespace gannet {

// Why a pass left a node as it is where a reader may have expected more; `gannet explain` prints these.
struct Remark {
  std::string pass;
  std::string node;  // name, or that of its first result
  std::string text;
  std::vector<int32_t> sources = {};  // Node::sources
};

// What `rematerialize` aims at, and what it reached.
struct MemoryAim {
  int64_t limit = 0;     // bytes; 0: none
  int64_t share = 0;     // where not 0 in place of a limit: thousandths of what would be alive beside inputs, constants and States
  SymbolValues extents;  // of the symbols, which the estimate needs
  // What the pass says of it, as in rematerialize.h; not reached: the peak is the least that was found.
  bool reached = false;
  int64_t peak = 0;
  double work = 0, extra_work = 0;
};

class PassContext {
 public:
  explicit PassContext(Target machine = host_target()) : target(machine) {}

  const Target target;
  MemoryAim memory;
  // What operands of convolutions and products are rounded to: f32, which is not at all, or bf16.
  DType product_dtype = DType::kF32;
  // Remarks of the pass that runs now replace those of its earlier runs.
  void remark(const Node& node, std::string text);
  const std::vector<Remark>& remarks() const { return remarks_; }
  void begin(std::string_view pass);

 private:
  std::string pass_;
  std::vector<Remark> remarks_;
};

// Rewrites `graph` (not its subgraphs: the runner visits those) and says whether it changed anything. A result keeps
// its meaning up to rounding, its name where it is an output, and its type. Errors only for models that no rewrite can
// make sense of.
using PassFn = Result<bool> (*)(Graph& graph, PassContext& context);

struct Pass {
  std::string_view name;
  std::string_view description;
  PassFn run = nullptr;
};

// The rows of passes.def.
std::span<const Pass> all_passes();
const Pass* find_pass(std::string_view name);

struct RunOptions {
  bool verify_each = false;
  int64_t bisect = -1;  // runs only the first N passes; -1: all
  // Called after each pass that ran, with its number, whether it changed the graph, and seconds.
  std::function<Status(const Pass&, int64_t number, const Graph&, bool changed, double seconds)> observer;
};

// Runs passes in order over `graph` and, inside out, its subgraphs other than bodies of Fused nodes. "a,(b,c)*,d": a
// group in parentheses with a star is repeated until nothing changes, at most 10 times. Errors name the pass.
Status run_passes(Graph& graph, std::string_view pipeline, PassContext& context, const RunOptions& options = {});

// Named pipelines (pipelines.cpp): "import" cleans up, "inference" is what compilation runs. "before_gradient" is for a
// model whose weights are State and that is to be differentiated: what it recognizes gets gradients that do not lose
// digits. "training" is what compilation runs on a training step, "training_in_memory" when PassContext::memory has a
// limit or a share. None of them changes what a State holds.
std::string_view find_pipeline(std::string_view name);  // empty when there is none
std::span<const std::pair<std::string_view, std::string_view>> all_pipelines();

}  // namespace gannet
