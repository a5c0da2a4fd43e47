#include "backend/llvm/kernel_emitter.h"
#include "backend/llvm/random_code.h"
#include "backend/llvm/tile_code.h"

namespace gannet {

using llvm::Value;

Value* KernelEmitter::add_scaled(Value* base, Value* index, const Extent& stride) {
  if (stride.is_static(0)) return base;
  return b_.CreateAdd(base, b_.CreateMul(index, extent(stride)));
}

// Elements from the operand's start to the vector's first lane, without the row's own part.
Value* KernelEmitter::offset_of(int32_t operand) {
  const KernelOperand& o = kernel_.operands[static_cast<size_t>(operand)];
  Value* offset = bases_[static_cast<size_t>(operand)];
  for (size_t d = kernel_.outer.size(); d < kernel_.row_loop(); ++d) offset = add_scaled(offset, indices_[d], o.strides[d]);
  return offset;
}

Value* KernelEmitter::address(int32_t operand, Value* offset) {
  return b_.CreateInBoundsGEP(scalars_.storage_type(kernel_.operands[static_cast<size_t>(operand)].dtype), pointers_[static_cast<size_t>(operand)], {offset});
}

Value* KernelEmitter::row_offsets(const KernelOperand& o, const Lanes& lanes) {
  Value* rows = b_.CreateAdd(b_.CreateVectorSplat(static_cast<unsigned>(lanes_), lanes.first), iota_);
  return b_.CreateMul(rows, b_.CreateVectorSplat(static_cast<unsigned>(lanes_), extent(o.strides.back())));
}

Value* KernelEmitter::emit_load(const Instruction& i, const Lanes& lanes) {
  const KernelOperand& o = kernel_.operands[static_cast<size_t>(i.operand)];
  llvm::Type* type = scalars_.storage_type(o.dtype);
  llvm::Type* vector = llvm::FixedVectorType::get(type, static_cast<unsigned>(lanes_));
  const llvm::Align align(static_cast<uint64_t>(element_size(o.dtype)));
  const Extent& stride = o.strides.back();
  if (const auto tile = tile_rows_.find(i.operand); tile != tile_rows_.end()) {
    return scalars_.from_storage(tile->second[static_cast<size_t>(position_)], o.dtype);
  }
  Value* offset = offset_of(i.operand);
  if (!o.has_memory()) return stride.is_static(0) ? splat(offset) : b_.CreateAdd(splat(offset), row_offsets(o, lanes));
  Value* positions = nullptr;
  if (i.args[0] >= 0) {
    positions = clamped_positions(i, o, lanes);
    if (schedule_.uniform[static_cast<size_t>(i.args[0])]) {
      offset = b_.CreateAdd(offset, b_.CreateMul(b_.CreateExtractElement(positions, uint64_t{0}), extent(o.position_stride)));
      positions = nullptr;
    }
  }
  Value* bits = nullptr;
  if (!positions && reads_groups(o)) {
    bits = load_groups(i.operand, offset, lanes, 1).front();
  } else if (positions || !(stride.is_static(0) || stride.is_static(1))) {
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

Value* KernelEmitter::random_of(const Instruction& i, const Lanes& lanes) {
  const KernelOperand& o = kernel_.operands[static_cast<size_t>(i.operand)];
  Value* places = splat(offset_of(i.operand));
  if (!o.strides.back().is_static(0)) places = b_.CreateAdd(places, row_offsets(o, lanes));
  return random_words(b_, places, value_of(i.args[0], lanes), static_cast<uint64_t>(i.integer));
}

// i64 in [0, extent): negative ones count from the end.
Value* KernelEmitter::clamped_positions(const Instruction& i, const KernelOperand& o, const Lanes& lanes) {
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

void KernelEmitter::emit_store(const KernelStore& store, Value* value, const Lanes& lanes) {
  const KernelOperand& o = kernel_.operands[static_cast<size_t>(store.operand)];
  Value* bits = scalars_.to_storage(value, o.dtype);
  const llvm::Align align(static_cast<uint64_t>(element_size(o.dtype)));
  const Extent& stride = o.strides.back();
  if (is_interleaved(store.operand)) {
    interleaved_stores_[store.operand].push_back(bits);
    return;
  }
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
Value* KernelEmitter::kept_address(int32_t instruction, const Lanes& lanes) {
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

void KernelEmitter::store_kept(int32_t instruction, Value* value, const Lanes& lanes) {
  const DType type = type_of(instruction);
  b_.CreateAlignedStore(scalars_.to_storage(value, type), kept_address(instruction, lanes), llvm::Align(static_cast<uint64_t>(element_size(type))));
}

Value* KernelEmitter::load_kept(int32_t instruction, const Lanes& lanes) {
  const DType type = type_of(instruction);
  llvm::Type* vector = llvm::FixedVectorType::get(scalars_.storage_type(type), static_cast<unsigned>(lanes_));
  return scalars_.from_storage(b_.CreateAlignedLoad(vector, kept_address(instruction, lanes), llvm::Align(static_cast<uint64_t>(element_size(type)))), type);
}

// Tiles: `lanes` positions of the tile's loop by `lanes` elements of the row. Operands that run along the tile's loop
// are read a vector along it for each element of the row, and transposed.
void KernelEmitter::tile_iteration() {
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
        position_ = t;
        sweep_vector(schedule_.sweeps.front(), lanes);
      };
      if (masked) if_then(b_.CreateICmpSLT(number(t), rows_left), row);
      else row();
    }
    b_.CreateBr(after);
  }
  position_ = 0;
  tile_rows_.clear();
  b_.SetInsertPoint(after);
}

void KernelEmitter::read_tiles(Value* first, bool masked) {
  tile_rows_.clear();
  Value* along = nullptr;
  if (masked) along = b_.CreateICmpSLT(iota_, splat(b_.CreateSub(tile_extent_, first)));
  for (const Instruction& i : kernel_.instructions) {
    if (i.kind != InstructionKind::kLoad || tile_rows_.contains(i.operand)) continue;
    const KernelOperand& o = kernel_.operands[static_cast<size_t>(i.operand)];
    if (!o.strides[static_cast<size_t>(kernel_.tile)].is_static(1) || i.args[0] >= 0 || !o.has_memory()) continue;
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

}  // namespace gannet
