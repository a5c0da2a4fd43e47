// A compiled model as data: what to run, in which order, on which memory. A Program holds no closures and no pointers
// to the compiler, so the same bytes serve a run in this process and a file (artifact.h). It never changes after it is
// built; Sessions (session.h) share it.
//
// Everything that depends on the extents of a run goes through one table: `sizes` are the distinct dimension
// expressions of the model, evaluated once for each new set of symbol values; steps and buffers name them by position.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "ir/attributes.h"
#include "ir/base/tensor.h"
#include "ir/base/type.h"
#include "ir/graph.h"
#include "runtime/core/code_image.h"
#include "runtime/core/recipe.h"

namespace gannet {

struct OpDef;

using ValueId = int32_t;
using BufferId = int32_t;
inline constexpr int32_t kNone = -1;

enum class BufferKind : uint8_t {
  kArena,     // memory of the session that lives from first_step to last_step
  kInput,     // the caller's tensor `index`
  kOutput,    // the memory of output `index`
  kConstant,  // Program::constants[index]
  kState,     // the session's State `index`
  kBoxed,     // a Datum of the session: results of Eval steps, sequences, strings
};

struct Buffer {
  BufferKind kind = BufferKind::kArena;
  int32_t index = 0;
  SizeId bytes = kNone;  // of an arena buffer or output
  int32_t first_step = 0;  // of an arena buffer or a box: the step that writes it first
  int32_t last_step = 0;   // and the last one that reads it
};

// A value of the graph: a dense row-major tensor inside a buffer, or what a box holds.
struct ProgramValue {
  std::string name;
  Type type;                     // dimensions over the Program's symbols
  BufferId buffer = kNone;
  SizeId offset = kNone;         // bytes from the start of the buffer; kNone: 0
  std::vector<SizeId> extents;   // of a tensor of known rank
};

// Generated code. Called as KernelFn for disjoint ranges of [0, iterations) by several threads; every element of the
// outputs is written by one of them.
struct KernelCall {
  int32_t function = 0;           // Program::code's function
  std::vector<SizeId> sizes;      // the kernel's sizes and strides, in its own order
  SizeId iterations = kNone;      // of the outer, parallel loop
  SizeId cost = kNone;            // rough nanoseconds of the whole call on one thread
  SizeId scratch_bytes = kNone;   // for each thread; kNone: none
};

struct PrimitiveCall {
  Recipe recipe;
};

// A symbol that is known once the step has run: the extent of an output.
struct SymbolBinding {
  std::string symbol;
  int32_t output = 0;
  int32_t axis = 0;
};

// The op's own eval. Operands are given as tensors over their buffers; results are boxes.
struct EvalCall {
  std::string op;
  Attributes attrs;  // subgraphs keep their inputs and outputs only; `bodies` has what runs
  std::vector<std::pair<std::string, int32_t>> bodies;  // attribute -> Program::bodies
  std::vector<SymbolBinding> bindings;
};

// Copies input 0 to output 0: a result that cannot share memory with what it equals.
struct CopyCall {};

struct Step {
  std::string name;              // of the ONNX node or nodes, for messages and profiles
  std::string op;                // what it does, for profiles: "Conv + Relu"
  std::vector<ValueId> inputs;   // kNone: absent
  std::vector<ValueId> outputs;  // kNone: not wanted
  std::variant<KernelCall, PrimitiveCall, EvalCall, CopyCall> call;
  double flops = 0;              // unused where symbolic
  SizeId flop_count = kNone;
};

// What a run must satisfy beyond the types of its inputs: at the start of `step`, the two sizes agree, or one
// of them is 1 with `broadcast`.
struct SizeCheck {
  int32_t step = 0;
  SizeId a = kNone, b = kNone;
  bool broadcast = false;
  std::string what;  // "node 'add_3' (Add): dimension 1"
};

struct ProgramInput {
  std::string name;
  Type type;
  ValueId value = kNone;
  int64_t index_bound = 2;  // integers made up for it stay below: rows of the tables that it indexes
};

struct ProgramOutput {
  std::string name;
  Type type;
  ValueId value = kNone;
};

struct ProgramState {
  std::string name;
  ValueId in = kNone;
  ValueId out = kNone;  // kNone: it does not change
  int32_t initial = 0;  // Program::constants
};

struct Program {
  std::string name;
  std::vector<ProgramInput> inputs;
  std::vector<ProgramOutput> outputs;
  std::vector<ProgramState> states;
  std::vector<Dim> sizes;
  std::vector<Tensor> constants;
  std::vector<ProgramValue> values;
  std::vector<Buffer> buffers;
  std::vector<Step> steps;
  std::vector<SizeCheck> checks;  // sorted by step
  std::vector<std::shared_ptr<const Program>> bodies;
  std::shared_ptr<const CodeImage> code;  // null when no step is generated code; bodies have their own
  std::vector<std::pair<std::string, std::string>> metadata;  // of the model: names of its classes and the like
};

}  // namespace gannet
