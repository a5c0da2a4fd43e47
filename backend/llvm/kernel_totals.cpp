#include <algorithm>
#include <bit>

#include "backend/llvm/kernel_emitter.h"

namespace gannet {

using llvm::Value;

// An interleaved loop has an accumulator for each position.
void KernelEmitter::prepare_accumulators() {
  const int64_t count = kernel_.interleaved >= 0 ? interleaved_extent() : units_;
  for (const KernelReduction& r : kernel_.reductions) {
    llvm::Type* type = scalars_.vector_type(type_of(r.value));
    std::vector<Value*> slots, carried;
    for (int64_t u = 0; u < count; ++u) slots.push_back(b_.CreateAlloca(type));
    for (int64_t u = 0; u < count && is_float_sum(r) && kernel_.interleaved < 0; ++u) carried.push_back(b_.CreateAlloca(type));
    accumulators_.push_back(std::move(slots));
    carried_.push_back(std::move(carried));
  }
  for (size_t d = 0; d < digits_.size(); ++d) index_slots_.push_back(b_.CreateAlloca(b_.getInt64Ty()));
}

void KernelEmitter::start_accumulators(const Sweep& sweep) {
  for (int32_t r : sweep.reductions) {
    const KernelReduction& reduction = kernel_.reductions[static_cast<size_t>(r)];
    for (const auto* slots : {&accumulators_, &carried_}) {
      for (Value* slot : (*slots)[static_cast<size_t>(r)]) b_.CreateStore(identity(reduction.kind, type_of(reduction.value)), slot);
    }
  }
}

bool KernelEmitter::is_float_sum(const KernelReduction& reduction) const {
  return reduction.kind == ReductionKind::kSum && is_float(type_of(reduction.value));
}

bool KernelEmitter::carries(const Sweep& sweep) const {
  return std::ranges::any_of(sweep.reductions, [&](int32_t r) { return !carried_[static_cast<size_t>(r)].empty(); });
}

void KernelEmitter::carry(const Sweep& sweep) {
  for (int32_t r : sweep.reductions) {
    const KernelReduction& reduction = kernel_.reductions[static_cast<size_t>(r)];
    const std::vector<Value*>& carried = carried_[static_cast<size_t>(r)];
    for (size_t u = 0; u < carried.size(); ++u) {
      b_.CreateStore(total_of(r, u), carried[u]);
      b_.CreateStore(identity(reduction.kind, type_of(reduction.value)), accumulators_[static_cast<size_t>(r)][u]);
    }
  }
}

// Both levels together.
Value* KernelEmitter::total_of(int32_t reduction, size_t unit) {
  const auto r = static_cast<size_t>(reduction);
  const DType dtype = type_of(kernel_.reductions[r].value);
  llvm::Type* type = scalars_.vector_type(dtype);
  Value* total = b_.CreateLoad(type, accumulators_[r][unit]);
  if (carried_[r].empty()) return total;
  return scalars_.reduce_pair(ReductionKind::kSum, dtype, b_.CreateLoad(type, carried_[r][unit]), total);
}

Value* KernelEmitter::identity(ReductionKind kind, DType type) {
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

void KernelEmitter::finish_accumulators(const Sweep& sweep) {
  for (int32_t r : sweep.reductions) {
    const KernelReduction& reduction = kernel_.reductions[static_cast<size_t>(r)];
    const DType dtype = type_of(reduction.value);
    std::vector<Value*> values;
    for (size_t u = 0; u < accumulators_[static_cast<size_t>(r)].size(); ++u) values.push_back(total_of(r, u));
    if (kernel_.interleaved >= 0) {
      totals_[{r, 0}] = pairwise(reduction.kind, dtype, std::move(values));
      continue;
    }
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

// In the order in which across_lanes takes as many lanes.
Value* KernelEmitter::pairwise(ReductionKind kind, DType type, std::vector<Value*> values) {
  for (size_t distance = std::bit_ceil(values.size()) / 2; distance > 0; distance /= 2) {
    for (size_t i = 0; i + distance < values.size(); ++i) values[i] = scalars_.reduce_pair(kind, type, values[i], values[i + distance]);
    values.resize(std::min(values.size(), distance));
  }
  return values.front();
}

// Every lane of the result is the total of all lanes.
Value* KernelEmitter::across_lanes(ReductionKind kind, DType type, Value* x) {
  for (int64_t distance = lanes_ / 2; distance > 0; distance /= 2) {
    std::vector<int> mask;
    for (int64_t i = 0; i < lanes_; ++i) mask.push_back(static_cast<int>((i + distance) % lanes_));
    x = scalars_.reduce_pair(kind, type, x, b_.CreateShuffleVector(x, mask));
  }
  return b_.CreateShuffleVector(x, std::vector<int>(static_cast<size_t>(lanes_), 0));
}

}  // namespace gannet
