#include "backend/llvm/kernel_code.h"

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Intrinsics.h>

#include <algorithm>
#include <limits>
#include <map>
#include <optional>

#include "backend/llvm/scalar_code.h"
#include "backend/llvm/tile_code.h"
#include "backend/llvm/vector_math.h"
#include "ir/base/check.h"

namespace gannet {
namespace {

using llvm::Value;

// Rough number of machine instructions for one vector.
int64_t weight_of(const Instruction& i) {
  if (i.kind == InstructionKind::kLoad) return i.args[0] >= 0 ? 8 : 1;
  if (i.kind != InstructionKind::kScalar) return i.kind == InstructionKind::kConvert ? 6 : 1;
  if (i.op == ScalarOp::kPow) return 60;
  if (i.op == ScalarOp::kSelect || i.op == ScalarOp::kCast || rule_of(i.op) != ScalarRule::kFloat) return 1;
  return i.op == ScalarOp::kSqrt || i.op == ScalarOp::kReciprocal ? 2 : 25;
}

// A vector's place in the row.
struct Lanes {
  Value* first = nullptr;  // element of the row
  Value* mask = nullptr;   // null: all
  int64_t unit = 0;
};

class KernelEmitter {
 public:
  KernelEmitter(llvm::Function* function, const Kernel& kernel, Isa isa)
      : function_(function), kernel_(kernel), schedule_(schedule_of(kernel)), isa_(isa), lanes_(vector_lanes(isa)),
        units_(vectors_at_once(kernel, isa)), b_(function->getContext()), math_(b_, function->getArg(5), isa),
        scalars_(b_, math_, static_cast<unsigned>(lanes_)) {
    llvm::FastMathFlags flags;
    flags.setAllowContract(true);
    b_.setFastMathFlags(flags);
  }

  void emit() {
    llvm::BasicBlock* entry = block("entry");
    b_.SetInsertPoint(entry);
    load_arguments();
    prepare_accumulators();
    Value *begin = function_->getArg(2), *end = function_->getArg(3);
    begin_counter(begin);
    for_loop(begin, end, 1, [&](Value* counter) {
      read_counter(counter);
      if (kernel_.tile >= 0) tile_iteration();
      else iteration();
      advance_counter();
    });
    b_.CreateRetVoid();
  }

 private:
  llvm::BasicBlock* block(const char* name) { return llvm::BasicBlock::Create(b_.getContext(), name, function_); }
  Value* number(int64_t n) { return b_.getInt64(static_cast<uint64_t>(n)); }
  Value* extent(const Extent& e) { return e.is_static() ? number(e.value) : sizes_.at(e.argument); }
  bool vertical() const { return !kernel_.reductions.empty() && !kernel_.row_reduced; }

  // Calls body(i) for i = begin, begin + step, ... < end.
  template <class Body>
  void for_loop(Value* begin, Value* end, int64_t step, const Body& body) {
    llvm::BasicBlock *before = b_.GetInsertBlock(), *loop = block("loop"), *after = block("after_loop");
    b_.CreateCondBr(b_.CreateICmpSLT(begin, end), loop, after);
    b_.SetInsertPoint(loop);
    llvm::PHINode* i = b_.CreatePHI(b_.getInt64Ty(), 2);
    i->addIncoming(begin, before);
    body(i);
    Value* next = b_.CreateAdd(i, number(step), "", true, true);
    i->addIncoming(next, b_.GetInsertBlock());
    b_.CreateCondBr(b_.CreateICmpSLT(next, end), loop, after);
    b_.SetInsertPoint(after);
  }

  template <class Then>
  void if_then(Value* condition, const Then& then) {
    llvm::BasicBlock *yes = block("then"), *after = block("after_then");
    b_.CreateCondBr(condition, yes, after);
    b_.SetInsertPoint(yes);
    then();
    b_.CreateBr(after);
    b_.SetInsertPoint(after);
  }

  void need(const Extent& e) {
    if (e.is_static() || sizes_.contains(e.argument)) return;
    sizes_[e.argument] = b_.CreateLoad(b_.getInt64Ty(), b_.CreateConstInBoundsGEP1_64(b_.getInt64Ty(), function_->getArg(1), static_cast<uint64_t>(e.argument)));
  }

  void load_arguments() {
    for (const Extent& e : kernel_.outer) need(e);
    for (const Extent& e : kernel_.inner) need(e);
    need(kernel_.row);
    for (const Instruction& i : kernel_.instructions) need(i.size);
    for (const KernelOperand& o : kernel_.operands) {
      for (const Extent& e : o.strides) need(e);
      need(o.offset);
      need(o.position_stride);
      need(o.position_extent);
      pointers_.push_back(b_.CreateLoad(b_.getPtrTy(), b_.CreateConstInBoundsGEP1_64(b_.getPtrTy(), function_->getArg(0), static_cast<uint64_t>(o.pointer))));
    }
    std::vector<llvm::Constant*> iota;
    for (int64_t i = 0; i < lanes_; ++i) iota.push_back(b_.getInt64(static_cast<uint64_t>(i)));
    iota_ = llvm::ConstantVector::get(iota);
    for (const Extent& e : kernel_.outer) digits_.push_back(extent(e));
    if (kernel_.tile >= 0) {
      Value*& tiles = digits_[static_cast<size_t>(kernel_.tile)];
      tile_extent_ = tiles;
      tiles = b_.CreateUDiv(b_.CreateAdd(tiles, number(lanes_ - 1)), number(lanes_));
    }
    if (kernel_.block > 0) digits_.push_back(b_.CreateUDiv(b_.CreateAdd(extent(kernel_.row), number(kernel_.block - 1)), number(kernel_.block)));
  }

  void prepare_accumulators() {
    for (const KernelReduction& r : kernel_.reductions) {
      llvm::Type* type = scalars_.vector_type(type_of(r.value));
      std::vector<Value*> slots;
      for (int64_t u = 0; u < units_; ++u) slots.push_back(b_.CreateAlloca(type));
      accumulators_.push_back(std::move(slots));
    }
    for (size_t d = 0; d < digits_.size(); ++d) index_slots_.push_back(b_.CreateAlloca(b_.getInt64Ty()));
  }

  // The counter of the outer loops, taken apart once and then advanced digit by digit.
  void begin_counter(Value* begin) {
    Value* rest = begin;
    for (size_t d = digits_.size(); d-- > 0;) {
      if (digits_.size() == 1) {
        b_.CreateStore(rest, index_slots_[d]);
        break;
      }
      Value* divisor = b_.CreateSelect(b_.CreateICmpEQ(digits_[d], number(0)), number(1), digits_[d]);
      b_.CreateStore(b_.CreateURem(rest, divisor), index_slots_[d]);
      rest = b_.CreateUDiv(rest, divisor);
    }
  }
  void advance_counter() {
    Value* carry = nullptr;
    for (size_t d = digits_.size(); d-- > 0;) {
      Value* index = b_.CreateLoad(b_.getInt64Ty(), index_slots_[d]);
      Value* next = b_.CreateAdd(index, carry ? b_.CreateZExt(carry, b_.getInt64Ty()) : number(1));
      carry = b_.CreateICmpEQ(next, digits_[d]);
      b_.CreateStore(b_.CreateSelect(carry, number(0), next), index_slots_[d]);
    }
  }
  void read_counter(Value*) {
    indices_.assign(kernel_.loops(), nullptr);
    for (size_t d = 0; d < kernel_.outer.size(); ++d) indices_[d] = b_.CreateLoad(b_.getInt64Ty(), index_slots_[d]);
    Value* row = extent(kernel_.row);
    row_begin_ = number(0);
    row_end_ = row;
    if (kernel_.block > 0) {
      row_begin_ = b_.CreateMul(b_.CreateLoad(b_.getInt64Ty(), index_slots_.back()), number(kernel_.block));
      Value* end = b_.CreateAdd(row_begin_, number(kernel_.block));
      row_end_ = b_.CreateSelect(b_.CreateICmpSLT(end, row), end, row);
    }
  }
  void place_operands() {
    bases_.clear();
    for (const KernelOperand& o : kernel_.operands) {
      Value* base = extent(o.offset);
      for (size_t d = 0; d < kernel_.outer.size(); ++d) base = add_scaled(base, indices_[d], o.strides[d]);
      bases_.push_back(base);
    }
  }
  Value* add_scaled(Value* base, Value* index, const Extent& stride) {
    if (stride.is_static(0)) return base;
    return b_.CreateAdd(base, b_.CreateMul(index, extent(stride)));
  }

  DType type_of(int32_t instruction) const { return kernel_.instructions[static_cast<size_t>(instruction)].type; }

  // One position of the outer loops.
  void iteration() {
    place_operands();
    if (!vertical()) {
      once_.clear();
      run_sweeps(nullptr);
      return;
    }
    // A block of columns: without masks where it is whole.
    llvm::BasicBlock *whole = block("whole"), *part = block("part"), *after = block("after_block");
    b_.CreateCondBr(b_.CreateICmpEQ(b_.CreateSub(row_end_, row_begin_), number(kernel_.block)), whole, part);
    b_.SetInsertPoint(whole);
    once_.clear();
    run_sweeps(nullptr);
    b_.CreateBr(after);
    b_.SetInsertPoint(part);
    once_.clear();
    run_sweeps(row_end_);
    b_.CreateBr(after);
    b_.SetInsertPoint(after);
  }

  void run_sweeps(Value* masked_end) {
    std::vector<Lanes> columns;
    for (int64_t u = 0; vertical() && u < units_; ++u) columns.push_back(lanes_at(b_.CreateAdd(row_begin_, number(u * lanes_)), masked_end, u));
    for (const Sweep& sweep : schedule_.sweeps) {
      start_accumulators(sweep);
      current_.clear();
      prepare_once(sweep, columns);
      inner_loops(0, [&] {
        if (!vertical()) return sweep_row(sweep);
        for (const Lanes& lanes : columns) sweep_vector(sweep, lanes);
      });
      finish_accumulators(sweep);
    }
    for (int32_t s : schedule_.once_stores) {
      const KernelStore& store = kernel_.stores[static_cast<size_t>(s)];
      if (!vertical()) emit_store(store, once(store.value, {row_begin_, nullptr, 0}), {row_begin_, nullptr, 0});
      for (const Lanes& lanes : columns) emit_store(store, once(store.value, lanes), lanes);
    }
  }

  Lanes lanes_at(Value* first, Value* masked_end, int64_t unit) {
    Lanes lanes{first, nullptr, unit};
    if (masked_end) lanes.mask = b_.CreateICmpSLT(iota_, b_.CreateVectorSplat(static_cast<unsigned>(lanes_), b_.CreateSub(masked_end, first)));
    return lanes;
  }

  template <class Body>
  void inner_loops(size_t depth, const Body& body) {
    if (depth == kernel_.inner.size()) return body();
    for_loop(number(0), extent(kernel_.inner[depth]), 1, [&](Value* i) {
      indices_[kernel_.outer.size() + depth] = i;
      inner_loops(depth + 1, body);
    });
  }

  void sweep_row(const Sweep& sweep) {
    const int64_t step = lanes_ * units_;
    Value* length = b_.CreateSub(row_end_, row_begin_);
    Value* whole = b_.CreateAnd(length, number(-step));
    if (step & (step - 1)) whole = b_.CreateMul(b_.CreateUDiv(length, number(step)), number(step));
    Value* middle = b_.CreateAdd(row_begin_, whole);
    for_loop(row_begin_, middle, step, [&](Value* v) {
      for (int64_t u = 0; u < units_; ++u) sweep_vector(sweep, {u == 0 ? v : b_.CreateAdd(v, number(u * lanes_)), nullptr, u});
    });
    for_loop(middle, row_end_, lanes_, [&](Value* v) { sweep_vector(sweep, lanes_at(v, row_end_, 0)); });
  }

  // All values of a sweep for one vector.
  void sweep_vector(const Sweep& sweep, const Lanes& lanes) {
    current_.clear();
    for (int32_t value : sweep.values) {
      const bool is_kept = schedule_.keeps(value);
      const bool had_before = is_kept && kept_in_.contains(value) && kept_in_.at(value) != &sweep;
      current_[value] = had_before ? load_kept(value, lanes) : compute(value, lanes);
      if (is_kept && !had_before) {
        kept_in_[value] = &sweep;
        store_kept(value, current_[value], lanes);
      }
    }
    for (int32_t r : sweep.reductions) {
      const KernelReduction& reduction = kernel_.reductions[static_cast<size_t>(r)];
      Value* slot = accumulators_[static_cast<size_t>(r)][static_cast<size_t>(lanes.unit)];
      Value* total = b_.CreateLoad(scalars_.vector_type(type_of(reduction.value)), slot);
      Value* next = scalars_.reduce_pair(reduction.kind, type_of(reduction.value), total, value_of(reduction.value, lanes));
      if (lanes.mask && kernel_.row_reduced) next = b_.CreateSelect(lanes.mask, next, total);
      b_.CreateStore(next, slot);
    }
    for (int32_t s : sweep.stores) {
      const KernelStore& store = kernel_.stores[static_cast<size_t>(s)];
      emit_store(store, value_of(store.value, lanes), lanes);
    }
  }

  Value* value_of(int32_t instruction, const Lanes& lanes) {
    if (const auto found = current_.find(instruction); found != current_.end()) return found->second;
    return once(instruction, lanes);
  }

  // A value that does not vary within the sweep; it has been computed before the loops (prepare_once).
  Value* once(int32_t instruction, const Lanes& lanes) {
    const int64_t unit = vertical() && !schedule_.uniform[static_cast<size_t>(instruction)] ? lanes.unit : 0;
    const auto key = std::pair(instruction, unit);
    if (const auto found = once_.find(key); found != once_.end()) return found->second;
    Value* value = compute(instruction, lanes);
    once_[key] = value;
    return value;
  }

  void prepare_once(const Sweep& sweep, const std::vector<Lanes>& columns) {
    std::vector<int32_t> wanted;
    auto want = [&](int32_t instruction) {
      if (instruction >= 0 && !schedule_.varies[static_cast<size_t>(instruction)]) wanted.push_back(instruction);
    };
    for (int32_t value : sweep.values) {
      for (int32_t arg : kernel_.instructions[static_cast<size_t>(value)].args) want(arg);
    }
    for (int32_t r : sweep.reductions) want(kernel_.reductions[static_cast<size_t>(r)].value);
    for (int32_t s : sweep.stores) want(kernel_.stores[static_cast<size_t>(s)].value);
    for (int32_t instruction : wanted) {
      if (!vertical()) once(instruction, {row_begin_, nullptr, 0});
      for (const Lanes& lanes : columns) once(instruction, lanes);
    }
  }

  Value* compute(int32_t instruction, const Lanes& lanes) {
    const Instruction& i = kernel_.instructions[static_cast<size_t>(instruction)];
    switch (i.kind) {
      case InstructionKind::kLoad: return emit_load(i, lanes);
      case InstructionKind::kNumber: return scalars_.literal(i);
      case InstructionKind::kSize: return size_value(i);
      case InstructionKind::kReduced: return totals_.at({i.operand, kernel_.row_reduced ? 0 : lanes.unit});
      default: break;
    }
    std::vector<Value*> args;
    std::vector<DType> types;
    for (int32_t arg : i.args) {
      if (arg < 0) continue;
      args.push_back(value_of(arg, lanes));
      types.push_back(type_of(arg));
    }
    return scalars_.emit(i, args, types);
  }

  Value* size_value(const Instruction& i) {
    llvm::Type* type = scalars_.element_type(i.type);
    Value* size = extent(i.size);
    size = type->isFloatingPointTy() ? b_.CreateSIToFP(size, type) : b_.CreateIntCast(size, type, true);
    return b_.CreateVectorSplat(static_cast<unsigned>(lanes_), size);
  }

  void start_accumulators(const Sweep& sweep) {
    for (int32_t r : sweep.reductions) {
      const KernelReduction& reduction = kernel_.reductions[static_cast<size_t>(r)];
      for (Value* slot : accumulators_[static_cast<size_t>(r)]) b_.CreateStore(identity(reduction.kind, type_of(reduction.value)), slot);
    }
  }

  Value* identity(ReductionKind kind, DType type) {
    llvm::Type* t = scalars_.vector_type(type);
    if (kind == ReductionKind::kSum) return llvm::Constant::getNullValue(t);
    const bool real = type == DType::kF32 || type == DType::kF64;
    if (kind == ReductionKind::kProduct) return real ? llvm::ConstantFP::get(t, 1) : llvm::ConstantInt::get(t, 1);
    const bool least = kind == ReductionKind::kMax;
    if (real) return llvm::ConstantFP::getInfinity(t, least);
    const unsigned bits = t->getScalarSizeInBits();
    if (is_signed_int(type)) return llvm::ConstantInt::get(t, least ? llvm::APInt::getSignedMinValue(bits) : llvm::APInt::getSignedMaxValue(bits));
    return llvm::ConstantInt::get(t, least ? llvm::APInt::getMinValue(bits) : llvm::APInt::getMaxValue(bits));
  }

  void finish_accumulators(const Sweep& sweep) {
    for (int32_t r : sweep.reductions) {
      const KernelReduction& reduction = kernel_.reductions[static_cast<size_t>(r)];
      const DType dtype = type_of(reduction.value);
      llvm::Type* type = scalars_.vector_type(dtype);
      const auto& slots = accumulators_[static_cast<size_t>(r)];
      std::vector<Value*> values;
      for (Value* slot : slots) values.push_back(b_.CreateLoad(type, slot));
      if (!kernel_.row_reduced) {
        for (size_t u = 0; u < values.size(); ++u) totals_[{r, static_cast<int64_t>(u)}] = values[u];
        continue;
      }
      while (values.size() > 1) {
        std::vector<Value*> halves;
        for (size_t i = 0; i + 1 < values.size(); i += 2) halves.push_back(scalars_.reduce_pair(reduction.kind, dtype, values[i], values[i + 1]));
        if (values.size() % 2) halves.push_back(values.back());
        values = std::move(halves);
      }
      totals_[{r, 0}] = across_lanes(reduction.kind, dtype, values[0]);
    }
  }

  // Every lane of the result is the total of all lanes.
  Value* across_lanes(ReductionKind kind, DType type, Value* x) {
    for (int64_t distance = lanes_ / 2; distance > 0; distance /= 2) {
      std::vector<int> mask;
      for (int64_t i = 0; i < lanes_; ++i) mask.push_back(static_cast<int>((i + distance) % lanes_));
      x = scalars_.reduce_pair(kind, type, x, b_.CreateShuffleVector(x, mask));
    }
    return b_.CreateShuffleVector(x, std::vector<int>(static_cast<size_t>(lanes_), 0));
  }

  // Memory.

  // Elements from the operand's start to the vector's first lane, without the row's own part.
  Value* offset_of(int32_t operand) {
    const KernelOperand& o = kernel_.operands[static_cast<size_t>(operand)];
    Value* offset = bases_[static_cast<size_t>(operand)];
    for (size_t d = kernel_.outer.size(); d < kernel_.row_loop(); ++d) offset = add_scaled(offset, indices_[d], o.strides[d]);
    return offset;
  }

  Value* address(int32_t operand, Value* offset) {
    return b_.CreateInBoundsGEP(scalars_.storage_type(kernel_.operands[static_cast<size_t>(operand)].dtype), pointers_[static_cast<size_t>(operand)], {offset});
  }

  Value* row_offsets(const KernelOperand& o, const Lanes& lanes) {
    Value* rows = b_.CreateAdd(b_.CreateVectorSplat(static_cast<unsigned>(lanes_), lanes.first), iota_);
    return b_.CreateMul(rows, b_.CreateVectorSplat(static_cast<unsigned>(lanes_), extent(o.strides.back())));
  }

  Value* splat(Value* scalar) { return b_.CreateVectorSplat(static_cast<unsigned>(lanes_), scalar); }
  Value* all_lanes(Value* mask) { return mask ? mask : llvm::ConstantInt::getTrue(llvm::FixedVectorType::get(b_.getInt1Ty(), static_cast<unsigned>(lanes_))); }

  Value* emit_load(const Instruction& i, const Lanes& lanes) {
    const KernelOperand& o = kernel_.operands[static_cast<size_t>(i.operand)];
    llvm::Type* type = scalars_.storage_type(o.dtype);
    llvm::Type* vector = llvm::FixedVectorType::get(type, static_cast<unsigned>(lanes_));
    const llvm::Align align(static_cast<uint64_t>(element_size(o.dtype)));
    const Extent& stride = o.strides.back();
    if (const auto tile = tile_rows_.find(i.operand); tile != tile_rows_.end()) {
      return scalars_.from_storage(tile->second[static_cast<size_t>(lanes.unit)], o.dtype);
    }
    Value* offset = offset_of(i.operand);
    Value* positions = nullptr;
    if (i.args[0] >= 0) {
      positions = clamped_positions(i, o, lanes);
      if (schedule_.uniform[static_cast<size_t>(i.args[0])]) {
        offset = b_.CreateAdd(offset, b_.CreateMul(b_.CreateExtractElement(positions, uint64_t{0}), extent(o.position_stride)));
        positions = nullptr;
      }
    }
    Value* bits = nullptr;
    if (positions || !(stride.is_static(0) || stride.is_static(1))) {
      Value* at = splat(offset);
      if (positions) at = b_.CreateAdd(at, b_.CreateMul(positions, splat(extent(o.position_stride))));
      if (!stride.is_static(0)) at = b_.CreateAdd(at, row_offsets(o, lanes));
      Value* addresses = b_.CreateInBoundsGEP(type, pointers_[static_cast<size_t>(i.operand)], {at});
      bits = b_.CreateMaskedGather(vector, addresses, align, all_lanes(lanes.mask), llvm::Constant::getNullValue(vector));
    } else if (stride.is_static(0)) {
      bits = splat(b_.CreateLoad(type, address(i.operand, offset)));
    } else {
      Value* from = address(i.operand, b_.CreateAdd(offset, lanes.first));
      bits = lanes.mask ? b_.CreateMaskedLoad(vector, from, align, lanes.mask, llvm::Constant::getNullValue(vector))
                        : static_cast<Value*>(b_.CreateAlignedLoad(vector, from, align));
    }
    return scalars_.from_storage(bits, o.dtype);
  }

  // i64 in [0, extent): negative ones count from the end.
  Value* clamped_positions(const Instruction& i, const KernelOperand& o, const Lanes& lanes) {
    Value* given = value_of(i.args[0], lanes);
    llvm::Type* wide = llvm::FixedVectorType::get(b_.getInt64Ty(), static_cast<unsigned>(lanes_));
    Value* position = is_signed_int(type_of(i.args[0])) ? b_.CreateSExtOrTrunc(given, wide) : b_.CreateZExtOrTrunc(given, wide);
    if (o.position_extent.is_static(0)) return position;
    Value* count = splat(extent(o.position_extent));
    Value* zero = llvm::Constant::getNullValue(wide);
    position = b_.CreateSelect(b_.CreateICmpSLT(position, zero), b_.CreateAdd(position, count), position);
    Value* last = b_.CreateSub(count, splat(number(1)));
    position = b_.CreateSelect(b_.CreateICmpSGT(position, last), last, position);
    return b_.CreateSelect(b_.CreateICmpSLT(position, zero), zero, position);
  }

  void emit_store(const KernelStore& store, Value* value, const Lanes& lanes) {
    const KernelOperand& o = kernel_.operands[static_cast<size_t>(store.operand)];
    Value* bits = scalars_.to_storage(value, o.dtype);
    const llvm::Align align(static_cast<uint64_t>(element_size(o.dtype)));
    const Extent& stride = o.strides.back();
    Value* offset = offset_of(store.operand);
    if (stride.is_static(0)) {
      b_.CreateStore(b_.CreateExtractElement(bits, uint64_t{0}), address(store.operand, offset));
    } else if (stride.is_static(1)) {
      Value* to = address(store.operand, b_.CreateAdd(offset, lanes.first));
      if (lanes.mask) b_.CreateMaskedStore(bits, to, align, lanes.mask);
      else b_.CreateAlignedStore(bits, to, align);
    } else {
      Value* at = b_.CreateAdd(splat(offset), row_offsets(o, lanes));
      Value* addresses = b_.CreateInBoundsGEP(scalars_.storage_type(o.dtype), pointers_[static_cast<size_t>(store.operand)], {at});
      b_.CreateMaskedScatter(bits, addresses, align, all_lanes(lanes.mask));
    }
  }

  // Kept values: one after the other in scratch memory, each with whole vectors for every position of the inner loops.
  Value* kept_address(int32_t instruction, const Lanes& lanes) {
    Value* row = number(units_ * lanes_);
    Value* at = number(lanes.unit * lanes_);
    if (kernel_.row_reduced) {
      row = b_.CreateAnd(b_.CreateAdd(extent(kernel_.row), number(lanes_ - 1)), number(-lanes_));
      at = lanes.first;
    }
    Value* line = number(0);
    Value* lines = number(1);
    for (size_t d = 0; d < kernel_.inner.size(); ++d) {
      line = b_.CreateAdd(b_.CreateMul(line, extent(kernel_.inner[d])), indices_[kernel_.outer.size() + d]);
      lines = b_.CreateMul(lines, extent(kernel_.inner[d]));
    }
    int64_t bytes_before = 0;
    for (int32_t kept : schedule_.kept) {
      if (kept == instruction) break;
      bytes_before += element_size(type_of(kept));
    }
    Value* total = b_.CreateMul(lines, row);
    Value* element = b_.CreateAdd(b_.CreateMul(line, row), at);
    Value* offset = b_.CreateAdd(b_.CreateMul(total, number(bytes_before)), b_.CreateMul(element, number(element_size(type_of(instruction)))));
    return b_.CreateInBoundsGEP(b_.getInt8Ty(), function_->getArg(4), {offset});
  }
  void store_kept(int32_t instruction, Value* value, const Lanes& lanes) {
    const DType type = type_of(instruction);
    b_.CreateAlignedStore(scalars_.to_storage(value, type), kept_address(instruction, lanes), llvm::Align(static_cast<uint64_t>(element_size(type))));
  }
  Value* load_kept(int32_t instruction, const Lanes& lanes) {
    const DType type = type_of(instruction);
    llvm::Type* vector = llvm::FixedVectorType::get(scalars_.storage_type(type), static_cast<unsigned>(lanes_));
    return scalars_.from_storage(b_.CreateAlignedLoad(vector, kept_address(instruction, lanes), llvm::Align(static_cast<uint64_t>(element_size(type)))), type);
  }

  // Tiles: `lanes` positions of the tile's loop by `lanes` elements of the row. Operands that run along the tile's loop
  // are read a vector along it for each element of the row, and transposed.
  void tile_iteration() {
    const auto loop = static_cast<size_t>(kernel_.tile);
    Value* first = b_.CreateMul(indices_[loop], number(lanes_));
    Value* last = b_.CreateAdd(first, number(lanes_));
    Value* full = b_.CreateAnd(b_.CreateICmpSLE(last, tile_extent_), b_.CreateICmpEQ(b_.CreateSub(row_end_, row_begin_), number(lanes_)));
    llvm::BasicBlock *whole = block("whole"), *part = block("part"), *after = block("after_tile");
    b_.CreateCondBr(full, whole, part);
    for (bool masked : {false, true}) {
      b_.SetInsertPoint(masked ? part : whole);
      indices_[loop] = first;
      place_operands();
      read_tiles(first, masked);
      Value* rows_left = b_.CreateSub(tile_extent_, first);
      const Lanes lanes = lanes_at(row_begin_, masked ? row_end_ : nullptr, 0);
      for (int64_t t = 0; t < lanes_; ++t) {
        auto row = [&] {
          indices_[loop] = b_.CreateAdd(first, number(t));
          place_operands();
          once_.clear();
          prepare_once(schedule_.sweeps.front(), {});
          Lanes own = lanes;
          own.unit = t;
          sweep_vector(schedule_.sweeps.front(), own);
        };
        if (masked) if_then(b_.CreateICmpSLT(number(t), rows_left), row);
        else row();
      }
      b_.CreateBr(after);
    }
    tile_rows_.clear();
    b_.SetInsertPoint(after);
  }

  void read_tiles(Value* first, bool masked) {
    tile_rows_.clear();
    Value* along = nullptr;
    if (masked) along = b_.CreateICmpSLT(iota_, splat(b_.CreateSub(tile_extent_, first)));
    for (const Instruction& i : kernel_.instructions) {
      if (i.kind != InstructionKind::kLoad || tile_rows_.contains(i.operand)) continue;
      const KernelOperand& o = kernel_.operands[static_cast<size_t>(i.operand)];
      if (!o.strides[static_cast<size_t>(kernel_.tile)].is_static(1) || i.args[0] >= 0) continue;
      llvm::Type* vector = llvm::FixedVectorType::get(scalars_.storage_type(o.dtype), static_cast<unsigned>(lanes_));
      const llvm::Align align(static_cast<uint64_t>(element_size(o.dtype)));
      std::vector<Value*> columns;
      for (int64_t k = 0; k < lanes_; ++k) {
        Value* row = b_.CreateAdd(row_begin_, number(k));
        // Beyond the row's end its last element is read again.
        if (masked) row = b_.CreateSelect(b_.CreateICmpSLT(row, row_end_), row, b_.CreateSub(row_end_, number(1)));
        Value* from = address(i.operand, add_scaled(bases_[static_cast<size_t>(i.operand)], row, o.strides.back()));
        columns.push_back(masked ? b_.CreateMaskedLoad(vector, from, align, along, llvm::Constant::getNullValue(vector))
                                 : static_cast<Value*>(b_.CreateAlignedLoad(vector, from, align)));
      }
      tile_rows_[i.operand] = transpose_vectors(b_, std::move(columns));
    }
  }

  llvm::Function* function_;
  const Kernel& kernel_;
  const Schedule schedule_;
  const Isa isa_;
  const int64_t lanes_, units_;
  llvm::IRBuilder<> b_;
  VectorMath math_;
  ScalarCode scalars_;

  std::map<int32_t, Value*> sizes_;
  std::vector<Value*> pointers_, digits_, index_slots_, bases_;
  std::vector<std::vector<Value*>> accumulators_;
  Value *iota_ = nullptr, *row_begin_ = nullptr, *row_end_ = nullptr, *tile_extent_ = nullptr;
  std::vector<Value*> indices_;                             // of each loop but the row
  std::map<int32_t, Value*> current_;                       // values of the vector at hand
  std::map<std::pair<int32_t, int64_t>, Value*> once_;      // by instruction and unit
  std::map<std::pair<int32_t, int64_t>, Value*> totals_;    // by reduction and unit
  std::map<int32_t, const Sweep*> kept_in_;
  std::map<int32_t, std::vector<Value*>> tile_rows_;        // of an operand, by position in the tile
};

}  // namespace

int64_t vectors_at_once(const Kernel& kernel, Isa isa) {
  const int64_t lanes = vector_lanes(isa);
  if (kernel.tile >= 0) return 1;
  int64_t weight = 0;
  for (const Instruction& i : kernel.instructions) weight += weight_of(i);
  if (!kernel.reductions.empty() && !kernel.row_reduced) return kernel.block / lanes;
  int64_t most = weight <= 16 ? 4 : weight <= 80 ? 2 : 1;
  if (kernel.row.is_static()) {
    while (most > 1 && kernel.row.value < most * lanes) most /= 2;
  }
  return most;
}

void emit_kernel(llvm::Module& module, const std::string& name, const Kernel& kernel, Isa isa) {
  llvm::LLVMContext& context = module.getContext();
  llvm::Type *pointer = llvm::PointerType::getUnqual(context), *integer = llvm::Type::getInt64Ty(context);
  auto* type = llvm::FunctionType::get(llvm::Type::getVoidTy(context), {pointer, pointer, integer, integer, pointer, pointer}, false);
  llvm::Function* function = llvm::Function::Create(type, llvm::GlobalValue::ExternalLinkage, name, module);
  const std::string width = isa == Isa::kV4 ? "512" : "256";
  function->addFnAttr("target-cpu", name_of(isa));
  function->addFnAttr("prefer-vector-width", width);
  function->addFnAttr("min-legal-vector-width", width);
  function->addFnAttr("no-trapping-math", "true");
  function->addFnAttr(llvm::Attribute::NoUnwind);
  function->addParamAttr(4, llvm::Attribute::NoAlias);
  KernelEmitter(function, kernel, isa).emit();
}

}  // namespace gannet
