// Emits the function of one kernel. Definitions stand by what they are about: kernel_code.cpp (sweeps and values),
// kernel_counter.cpp (arguments and the counter of the outer loops), kernel_totals.cpp (reductions), kernel_memory.cpp
// (loads, stores, kept values, tiles), kernel_interleave.cpp (elements that lie in turn).
#pragma once

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Intrinsics.h>

#include <map>
#include <utility>
#include <vector>

#include "backend/llvm/kernel.h"
#include "backend/llvm/scalar_code.h"
#include "backend/llvm/schedule.h"
#include "backend/llvm/vector_math.h"

namespace gannet {

// A vector's place in the row.
struct Lanes {
  llvm::Value* first = nullptr;  // element of the row
  llvm::Value* mask = nullptr;   // null: all
  int64_t unit = 0;
};

class KernelEmitter {
 public:
  KernelEmitter(llvm::Function* function, const Kernel& kernel, Isa isa);

  void emit();

 private:
  llvm::BasicBlock* block(const char* name) { return llvm::BasicBlock::Create(b_.getContext(), name, function_); }
  llvm::Value* number(int64_t n) { return b_.getInt64(static_cast<uint64_t>(n)); }
  llvm::Value* extent(const Extent& e) { return e.is_static() ? number(e.value) : sizes_.at(e.argument); }
  bool vertical() const { return !kernel_.reductions.empty() && !kernel_.row_reduced; }
  DType type_of(int32_t instruction) const { return kernel_.instructions[static_cast<size_t>(instruction)].type; }
  llvm::Value* splat(llvm::Value* scalar) { return b_.CreateVectorSplat(static_cast<unsigned>(lanes_), scalar); }
  llvm::Value* all_lanes(llvm::Value* mask) { return mask ? mask : llvm::ConstantInt::getTrue(llvm::FixedVectorType::get(b_.getInt1Ty(), static_cast<unsigned>(lanes_))); }

  // Calls body(i) for i = begin, begin + step, ... < end.
  template <class Body>
  void for_loop(llvm::Value* begin, llvm::Value* end, int64_t step, const Body& body) {
    llvm::BasicBlock *before = b_.GetInsertBlock(), *loop = block("loop"), *after = block("after_loop");
    b_.CreateCondBr(b_.CreateICmpSLT(begin, end), loop, after);
    b_.SetInsertPoint(loop);
    llvm::PHINode* i = b_.CreatePHI(b_.getInt64Ty(), 2);
    i->addIncoming(begin, before);
    body(i);
    llvm::Value* next = b_.CreateAdd(i, number(step), "", true, true);
    i->addIncoming(next, b_.GetInsertBlock());
    b_.CreateCondBr(b_.CreateICmpSLT(next, end), loop, after);
    b_.SetInsertPoint(after);
  }
  template <class Then>
  void if_then(llvm::Value* condition, const Then& then) {
    llvm::BasicBlock *yes = block("then"), *after = block("after_then");
    b_.CreateCondBr(condition, yes, after);
    b_.SetInsertPoint(yes);
    then();
    b_.CreateBr(after);
    b_.SetInsertPoint(after);
  }
  // Calls body() for every position of the inner loops from `depth` on.
  template <class Body>
  void inner_loops(size_t depth, const Sweep& sweep, const Body& body) {
    if (depth == kernel_.inner.size()) return body();
    if (kernel_.interleaved == static_cast<int32_t>(kernel_.outer.size() + depth)) {
      return interleaved_positions([&] { inner_loops(depth + 1, sweep, body); });
    }
    const auto position = [&](llvm::Value* i) {
      indices_[kernel_.outer.size() + depth] = i;
      inner_loops(depth + 1, sweep, body);
    };
    const bool innermost = vertical() && depth + 1 == kernel_.inner.size();
    chunked_loop(number(0), extent(kernel_.inner[depth]), 1, innermost && carries(sweep) ? &sweep : nullptr, position);
  }
  // A for_loop that carries what `sweep` has summed after every kSumChunk steps; one level of it where `sweep` is null.
  template <class Body>
  void chunked_loop(llvm::Value* begin, llvm::Value* end, int64_t step, const Sweep* sweep, const Body& body) {
    if (!sweep) return for_loop(begin, end, step, body);
    const int64_t chunk = kSumChunk * step;
    for_loop(begin, end, chunk, [&](llvm::Value* first) {
      llvm::Value* last = b_.CreateAdd(first, number(chunk));
      for_loop(first, b_.CreateSelect(b_.CreateICmpSLT(last, end), last, end), step, body);
      carry(*sweep);
    });
  }

  // Arguments and the counter of the outer loops, taken apart once and then advanced digit by digit.
  void need(const Extent& e);
  void load_arguments();
  void begin_counter(llvm::Value* begin);
  void advance_counter();
  void read_counter();
  void place_operands();

  // Sweeps and values.
  void iteration();
  void run_sweeps(llvm::Value* masked_end);
  Lanes lanes_at(llvm::Value* first, llvm::Value* masked_end, int64_t unit);
  void sweep_row(const Sweep& sweep);
  void sweep_vector(const Sweep& sweep, const Lanes& lanes);
  llvm::Value* value_of(int32_t instruction, const Lanes& lanes);
  llvm::Value* once(int32_t instruction, const Lanes& lanes);
  void prepare_once(const Sweep& sweep, const std::vector<Lanes>& columns);
  llvm::Value* compute(int32_t instruction, const Lanes& lanes);
  llvm::Value* size_value(const Instruction& i);

  // Reductions. The error of a sum grows with the number of its terms, so a long one has two levels: what kSumChunk steps
  // have added goes into a second accumulator.
  static constexpr int64_t kSumChunk = 512;
  bool is_float_sum(const KernelReduction& reduction) const;
  bool carries(const Sweep& sweep) const;
  void carry(const Sweep& sweep);
  llvm::Value* total_of(int32_t reduction, size_t unit);
  void prepare_accumulators();
  void start_accumulators(const Sweep& sweep);
  llvm::Value* identity(ReductionKind kind, DType type);
  void finish_accumulators(const Sweep& sweep);
  llvm::Value* pairwise(ReductionKind kind, DType type, std::vector<llvm::Value*> values);
  llvm::Value* across_lanes(ReductionKind kind, DType type, llvm::Value* x);

  // Memory.
  llvm::Value* add_scaled(llvm::Value* base, llvm::Value* index, const Extent& stride);
  llvm::Value* offset_of(int32_t operand);
  llvm::Value* address(int32_t operand, llvm::Value* offset);
  llvm::Value* row_offsets(const KernelOperand& o, const Lanes& lanes);
  llvm::Value* emit_load(const Instruction& i, const Lanes& lanes);
  llvm::Value* random_of(const Instruction& i, const Lanes& lanes);
  llvm::Value* clamped_positions(const Instruction& i, const KernelOperand& o, const Lanes& lanes);
  void emit_store(const KernelStore& store, llvm::Value* value, const Lanes& lanes);
  llvm::Value* kept_address(int32_t instruction, const Lanes& lanes);
  void store_kept(int32_t instruction, llvm::Value* value, const Lanes& lanes);
  llvm::Value* load_kept(int32_t instruction, const Lanes& lanes);

  // Operands whose elements lie in turn.
  int64_t interleaved_extent() const { return kernel_.extent_of(static_cast<size_t>(kernel_.interleaved)).value; }
  // Calls body() for every position of the interleaved loop.
  template <class Body>
  void interleaved_positions(const Body& body) {
    for (position_ = 0; position_ < interleaved_extent(); ++position_) {
      indices_[static_cast<size_t>(kernel_.interleaved)] = number(position_);
      body();
    }
    position_ = 0;
    indices_[static_cast<size_t>(kernel_.interleaved)] = number(0);
  }
  bool is_interleaved(int32_t operand) const;
  bool reads_groups(const KernelOperand& operand) const;
  void interleaved_iteration();
  void read_interleaved(const Lanes& lanes);
  void write_interleaved(const Lanes& lanes);
  std::vector<llvm::Value*> load_groups(int32_t operand, llvm::Value* offset, const Lanes& lanes, int64_t count);
  llvm::Value* group_address(int32_t operand, llvm::Value* offset, const Lanes& lanes, int64_t start);
  llvm::Value* members_mask(int64_t start, int64_t stride);
  llvm::Value* group_mask(const Lanes& lanes, int64_t start, int64_t stride, int64_t count);

  // Tiles.
  void tile_iteration();
  void read_tiles(llvm::Value* first, bool masked);

  llvm::Function* function_;
  const Kernel& kernel_;
  const Schedule schedule_;
  const Isa isa_;
  const int64_t lanes_, units_;
  llvm::IRBuilder<> b_;
  VectorMath math_;
  ScalarCode scalars_;

  std::map<int32_t, llvm::Value*> sizes_;
  std::vector<llvm::Value*> pointers_, digits_, index_slots_, bases_;
  std::vector<std::vector<llvm::Value*>> accumulators_, carried_;
  llvm::Value *iota_ = nullptr, *row_begin_ = nullptr, *row_end_ = nullptr, *tile_extent_ = nullptr;
  std::vector<llvm::Value*> indices_;                             // of each loop but the row
  int64_t position_ = 0;                                          // in the tile or the interleaved loop
  std::map<int32_t, llvm::Value*> current_;                       // values of the vector at hand
  std::map<std::pair<int32_t, int64_t>, llvm::Value*> once_;      // by instruction and unit
  std::map<std::pair<int32_t, int64_t>, llvm::Value*> totals_;    // by reduction and unit
  std::map<int32_t, const Sweep*> kept_in_;
  std::map<int32_t, std::vector<llvm::Value*>> tile_rows_;        // of an operand, by position in the tile or the interleaved loop
  std::map<int32_t, std::vector<llvm::Value*>> interleaved_stores_;  // of an operand, by position in the interleaved loop
};

}  // namespace gannet
