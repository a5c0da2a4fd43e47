// Operands whose elements of a loop lie in turn: what is read and written is whole vectors, taken apart and joined in registers.
#include <algorithm>

#include "backend/llvm/interleave_code.h"
#include "backend/llvm/kernel_emitter.h"

namespace gannet {

using llvm::Value;

bool KernelEmitter::is_interleaved(int32_t operand) const {
  if (kernel_.interleaved < 0) return false;
  const KernelOperand& o = kernel_.operands[static_cast<size_t>(operand)];
  return o.has_memory() && o.strides[static_cast<size_t>(kernel_.interleaved)].is_static(1) && o.strides.back().is_static() &&
         o.strides.back().value >= interleaved_extent();
}

// Whether reading all that lies between the elements of a vector is faster than reading one by one.
bool KernelEmitter::reads_groups(const KernelOperand& operand) const {
  const Extent& stride = operand.strides.back();
  return stride.is_static() && stride.value >= 2 && stride.value * std::max<int64_t>(element_size(operand.dtype), 4) <= 2 * lanes_;
}

// All positions of the interleaved loop for a range of the row, one vector after the other.
void KernelEmitter::interleaved_iteration() {
  const Sweep& sweep = schedule_.sweeps.front();
  std::vector<std::vector<Value*>> bases;
  std::vector<std::map<std::pair<int32_t, int64_t>, Value*>> once;
  interleaved_positions([&] {
    place_operands();
    once_.clear();
    prepare_once(sweep, {});
    bases.push_back(bases_);
    once.push_back(once_);
  });
  const auto vector = [&](const Lanes& lanes) {
    bases_ = bases.front();
    read_interleaved(lanes);
    interleaved_positions([&] {
      bases_ = bases[static_cast<size_t>(position_)];
      once_ = once[static_cast<size_t>(position_)];
      sweep_vector(sweep, lanes);
    });
    bases_ = bases.front();
    write_interleaved(lanes);
  };
  Value* middle = b_.CreateAdd(row_begin_, b_.CreateAnd(b_.CreateSub(row_end_, row_begin_), number(-lanes_)));
  for_loop(row_begin_, middle, lanes_, [&](Value* v) { vector(lanes_at(v, nullptr, 0)); });
  for_loop(middle, row_end_, lanes_, [&](Value* v) { vector(lanes_at(v, row_end_, 0)); });
  tile_rows_.clear();
}

void KernelEmitter::read_interleaved(const Lanes& lanes) {
  tile_rows_.clear();
  for (const Instruction& i : kernel_.instructions) {
    if (i.kind != InstructionKind::kLoad || i.args[0] >= 0 || tile_rows_.contains(i.operand) || !is_interleaved(i.operand)) continue;
    tile_rows_[i.operand] = load_groups(i.operand, offset_of(i.operand), lanes, interleaved_extent());
  }
}

void KernelEmitter::write_interleaved(const Lanes& lanes) {
  for (auto& [operand, parts] : interleaved_stores_) {
    const KernelOperand& o = kernel_.operands[static_cast<size_t>(operand)];
    const llvm::Align align(static_cast<uint64_t>(element_size(o.dtype)));
    const int64_t stride = o.strides.back().value;
    // What lies between the groups stays as it is.
    parts.resize(static_cast<size_t>(stride), llvm::PoisonValue::get(parts.front()->getType()));
    const std::vector<Value*> whole = interleave_vectors(b_, parts);
    for (int64_t k = 0; k < stride; ++k) {
      const int64_t start = k * lanes_;
      Value* mask = stride > interleaved_extent() ? members_mask(start, stride) : nullptr;
      if (lanes.mask) {
        Value* in_row = group_mask(lanes, start, stride, interleaved_extent());
        mask = mask ? b_.CreateAnd(mask, in_row) : in_row;
      }
      Value* to = group_address(operand, offset_of(operand), lanes, start);
      if (mask) b_.CreateMaskedStore(whole[static_cast<size_t>(k)], to, align, mask);
      else b_.CreateAlignedStore(whole[static_cast<size_t>(k)], to, align);
    }
  }
  interleaved_stores_.clear();
}

// The first `count` elements of groups that are the row's stride apart, one group a lane.
std::vector<Value*> KernelEmitter::load_groups(int32_t operand, Value* offset, const Lanes& lanes, int64_t count) {
  const KernelOperand& o = kernel_.operands[static_cast<size_t>(operand)];
  const int64_t stride = o.strides.back().value;
  llvm::Type* type = llvm::FixedVectorType::get(scalars_.storage_type(o.dtype), static_cast<unsigned>(lanes_));
  const llvm::Align align(static_cast<uint64_t>(element_size(o.dtype)));
  std::vector<Value*> whole;
  for (int64_t k = 0; k < stride; ++k) {
    const int64_t start = group_vector_start(k, lanes_, stride, count);
    Value* from = group_address(operand, offset, lanes, start);
    whole.push_back(lanes.mask ? b_.CreateMaskedLoad(type, from, align, group_mask(lanes, start, stride, count), llvm::Constant::getNullValue(type))
                               : static_cast<Value*>(b_.CreateAlignedLoad(type, from, align)));
  }
  return deinterleave_vectors(b_, whole, count);
}

Value* KernelEmitter::group_address(int32_t operand, Value* offset, const Lanes& lanes, int64_t start) {
  const Extent& stride = kernel_.operands[static_cast<size_t>(operand)].strides.back();
  // A masked vector may lie behind the last group altogether, so this address may, too.
  const auto index = static_cast<size_t>(operand);
  return b_.CreateGEP(scalars_.storage_type(kernel_.operands[index].dtype), pointers_[index], {b_.CreateAdd(add_scaled(offset, lanes.first, stride), number(start))});
}

// Of a vector that starts `start` elements behind the first group: the elements of the interleaved loop.
Value* KernelEmitter::members_mask(int64_t start, int64_t stride) {
  std::vector<llvm::Constant*> lanes;
  for (int64_t e = start; e < start + lanes_; ++e) lanes.push_back(b_.getInt1(e % stride < interleaved_extent()));
  return llvm::ConstantVector::get(lanes);
}

// Of a vector that starts `start` elements behind the first group: what belongs to a group of the row.
Value* KernelEmitter::group_mask(const Lanes& lanes, int64_t start, int64_t stride, int64_t count) {
  Value* groups = b_.CreateSub(row_end_, lanes.first);
  Value* elements = b_.CreateAdd(b_.CreateMul(groups, number(stride)), number(count - stride - start));
  return b_.CreateICmpSLT(iota_, splat(elements));
}

}  // namespace gannet
