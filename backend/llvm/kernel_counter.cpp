#include "backend/llvm/kernel_emitter.h"

namespace gannet {

using llvm::Value;

void KernelEmitter::need(const Extent& e) {
  if (e.is_static() || sizes_.contains(e.argument)) return;
  sizes_[e.argument] = b_.CreateLoad(b_.getInt64Ty(), b_.CreateConstInBoundsGEP1_64(b_.getInt64Ty(), function_->getArg(1), static_cast<uint64_t>(e.argument)));
}

void KernelEmitter::load_arguments() {
  for (const Extent& e : kernel_.outer) need(e);
  for (const Extent& e : kernel_.inner) need(e);
  need(kernel_.row);
  for (const Instruction& i : kernel_.instructions) need(i.size);
  for (const KernelOperand& o : kernel_.operands) {
    for (const Extent& e : o.strides) need(e);
    need(o.offset);
    need(o.position_stride);
    need(o.position_extent);
    llvm::Value* pointer = nullptr;
    if (o.has_memory()) pointer = b_.CreateLoad(b_.getPtrTy(), b_.CreateConstInBoundsGEP1_64(b_.getPtrTy(), function_->getArg(0), static_cast<uint64_t>(o.pointer)));
    pointers_.push_back(pointer);
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
  if (kernel_.interleaved >= 0 && !vertical()) digits_[static_cast<size_t>(kernel_.interleaved)] = number(1);
  if (kernel_.block > 0) digits_.push_back(b_.CreateUDiv(b_.CreateAdd(extent(kernel_.row), number(kernel_.block - 1)), number(kernel_.block)));
}

// The counter of the outer loops, taken apart once and then advanced digit by digit.
void KernelEmitter::begin_counter(Value* begin) {
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

void KernelEmitter::advance_counter() {
  Value* carry = nullptr;
  for (size_t d = digits_.size(); d-- > 0;) {
    Value* index = b_.CreateLoad(b_.getInt64Ty(), index_slots_[d]);
    Value* next = b_.CreateAdd(index, carry ? b_.CreateZExt(carry, b_.getInt64Ty()) : number(1));
    carry = b_.CreateICmpEQ(next, digits_[d]);
    b_.CreateStore(b_.CreateSelect(carry, number(0), next), index_slots_[d]);
  }
}

void KernelEmitter::read_counter() {
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

void KernelEmitter::place_operands() {
  bases_.clear();
  for (const KernelOperand& o : kernel_.operands) {
    Value* base = extent(o.offset);
    for (size_t d = 0; d < kernel_.outer.size(); ++d) base = add_scaled(base, indices_[d], o.strides[d]);
    bases_.push_back(base);
  }
}

}  // namespace gannet
