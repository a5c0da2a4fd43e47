// What a generated kernel is to do, as plain data: loops, operands with strides, a list of instructions over one
// element, reductions and stores. Its text is all that its code depends on, so equal texts share one compilation.
//
// The iteration space is outer... x inner... x row. One call does a range of the outer loops, collapsed into one
// counter; the row is cut into vectors. In a kernel that reduces, the reduced loops are `inner` and, with
// `row_reduced`, the row: all sweeps over them happen for one position of the others.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "ir/base/dtype.h"
#include "ir/scalar.h"
#include "ir/target.h"

namespace gannet {

// Elements of a vector, for every element type.
inline int64_t vector_lanes(Isa isa) { return isa == Isa::kV4 ? 16 : 8; }

// An integer that is known now, or the kernel's run-time size number `argument`.
struct Extent {
  int32_t argument = -1;
  int64_t value = 0;

  bool is_static() const { return argument < 0; }
  bool is_static(int64_t n) const { return is_static() && value == n; }
  bool operator==(const Extent&) const = default;
};

inline constexpr int32_t kOwnPosition = -1;

struct KernelOperand {
  int32_t pointer = 0;  // position among the step's inputs and outputs; kOwnPosition: each element is its own offset
  DType dtype = DType::kF32;
  std::vector<Extent> strides;  // in elements, along each loop, the row last
  Extent offset;                // in elements
  // Of an operand that is read by index: what one index is apart from the next, and how many there are. Negative
  // indices count from the end; what is outside is clamped, so whoever makes the kernel sees to it that nothing is. With
  // an extent of 0, indices are offsets and taken as they are.
  Extent position_stride, position_extent;

  bool has_memory() const { return pointer != kOwnPosition; }
};

enum class InstructionKind : uint8_t {
  kLoad,     // element of `operand`, displaced by instruction args[0] where that is not -1
  kNumber,   // literal
  kSize,     // `size` converted to the type
  kScalar,   // `op` over args; kCast converts from the type of args[0]
  kConvert,  // args[0] converted as the op Cast does
  kRound,    // args[0] rounded to the 16-bit float `storage` and back
  kReduced,  // result of reduction `operand`
  kRandom,   // word number "offset in `operand`" of the generator (ir/base/random.h) of seed args[0], stream `integer`
};

struct Instruction {
  InstructionKind kind = InstructionKind::kLoad;
  DType type = DType::kF32;  // of computation: no 16-bit floats
  ScalarOp op = ScalarOp::kArg;
  std::array<int32_t, 3> args{-1, -1, -1};
  int32_t operand = -1;
  DType storage = DType::kUndefined;
  Extent size{};
  double number = 0;
  int64_t integer = 0;
  bool is_integer = false;
};

enum class ReductionKind : uint8_t { kSum, kProduct, kMax, kMin };

struct KernelReduction {
  ReductionKind kind = ReductionKind::kSum;
  int32_t value = -1;  // the instruction that is reduced; the total has its type
};

struct KernelStore {
  int32_t operand = -1;
  int32_t value = -1;
};

struct Kernel {
  std::vector<Extent> outer;
  std::vector<Extent> inner;
  Extent row;
  bool row_reduced = false;
  int64_t block = 0;  // elements of the row that one iteration does; 0: all. The blocks are the innermost outer loop.
  // Where not -1: the operands whose row stride is not 1 have stride 1 along this outer loop, of which
  // an iteration does as many positions as a vector has lanes, so that they are read by vectors and transposed.
  int32_t tile = -1;
  // Where not -1: a loop of few positions, known now, all of which an iteration does; the reduced one in a kernel that
  // reduces. An operand with stride 1 along it, and a row stride that is a known number of at least as many, holds the
  // loop's elements in turn: it is read and written as whole vectors, masked where there is anything between.
  int32_t interleaved = -1;
  std::vector<KernelOperand> operands;
  std::vector<Instruction> instructions;  // in order of evaluation
  std::vector<KernelReduction> reductions;
  std::vector<KernelStore> stores;

  size_t loops() const { return outer.size() + inner.size() + 1; }
  size_t row_loop() const { return loops() - 1; }
  const Extent& extent_of(size_t loop) const { return loop < outer.size() ? outer[loop] : inner[loop - outer.size()]; }
};

// Canonical: equal for kernels that do the same in the same way.
std::string to_string(const Kernel& kernel);
// Tells kernels of different text apart.
std::string kernel_name(const Kernel& kernel);

}  // namespace gannet
