#include "backend/llvm/kernel_code.h"

#include "backend/llvm/kernel_emitter.h"

namespace gannet {

using llvm::Value;

namespace {

// Rough number of machine instructions for one vector.
int64_t weight_of(const Instruction& i) {
  if (i.kind == InstructionKind::kLoad) return i.args[0] >= 0 ? 8 : 1;
  if (i.kind == InstructionKind::kRandom) return 120;
  if (i.kind != InstructionKind::kScalar) return i.kind == InstructionKind::kConvert ? 6 : 1;
  if (i.op == ScalarOp::kPow) return 60;
  if (i.op == ScalarOp::kSelect || i.op == ScalarOp::kCast || rule_of(i.op) != ScalarRule::kFloat) return 1;
  return i.op == ScalarOp::kSqrt || i.op == ScalarOp::kReciprocal ? 2 : 25;
}

}  // namespace

KernelEmitter::KernelEmitter(llvm::Function* function, const Kernel& kernel, Isa isa)
    : function_(function), kernel_(kernel), schedule_(schedule_of(kernel)), isa_(isa), lanes_(vector_lanes(isa)),
      units_(vectors_at_once(kernel, isa)), b_(function->getContext()), math_(b_, function->getArg(5), isa),
      scalars_(b_, math_, static_cast<unsigned>(lanes_)) {
  llvm::FastMathFlags flags;
  flags.setAllowContract(true);
  b_.setFastMathFlags(flags);
}

void KernelEmitter::emit() {
  llvm::BasicBlock* entry = block("entry");
  b_.SetInsertPoint(entry);
  load_arguments();
  prepare_accumulators();
  Value *begin = function_->getArg(2), *end = function_->getArg(3);
  begin_counter(begin);
  for_loop(begin, end, 1, [&](Value*) {
    read_counter();
    if (kernel_.tile >= 0) tile_iteration();
    else if (kernel_.interleaved >= 0 && !vertical()) interleaved_iteration();
    else iteration();
    advance_counter();
  });
  b_.CreateRetVoid();
}

// One position of the outer loops.
void KernelEmitter::iteration() {
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

void KernelEmitter::run_sweeps(Value* masked_end) {
  std::vector<Lanes> columns;
  for (int64_t u = 0; vertical() && u < units_; ++u) columns.push_back(lanes_at(b_.CreateAdd(row_begin_, number(u * lanes_)), masked_end, u));
  const bool interleaves = kernel_.interleaved >= 0;
  if (interleaves) {
    indices_[static_cast<size_t>(kernel_.interleaved)] = number(0);
    read_interleaved(columns.front());
  }
  for (const Sweep& sweep : schedule_.sweeps) {
    start_accumulators(sweep);
    current_.clear();
    prepare_once(sweep, columns);
    inner_loops(0, sweep, [&] {
      if (!vertical()) return sweep_row(sweep);
      for (const Lanes& lanes : columns) sweep_vector(sweep, lanes);
    });
    finish_accumulators(sweep);
    if (interleaves) write_interleaved(columns.front());
  }
  for (int32_t s : schedule_.once_stores) {
    const KernelStore& store = kernel_.stores[static_cast<size_t>(s)];
    if (!vertical()) emit_store(store, once(store.value, {row_begin_, nullptr, 0}), {row_begin_, nullptr, 0});
    for (const Lanes& lanes : columns) emit_store(store, once(store.value, lanes), lanes);
  }
  tile_rows_.clear();
}

Lanes KernelEmitter::lanes_at(Value* first, Value* masked_end, int64_t unit) {
  Lanes lanes{first, nullptr, unit};
  if (masked_end) lanes.mask = b_.CreateICmpSLT(iota_, b_.CreateVectorSplat(static_cast<unsigned>(lanes_), b_.CreateSub(masked_end, first)));
  return lanes;
}

void KernelEmitter::sweep_row(const Sweep& sweep) {
  const int64_t step = lanes_ * units_;
  Value* length = b_.CreateSub(row_end_, row_begin_);
  Value* whole = b_.CreateAnd(length, number(-step));
  if (step & (step - 1)) whole = b_.CreateMul(b_.CreateUDiv(length, number(step)), number(step));
  Value* middle = b_.CreateAdd(row_begin_, whole);
  const bool is_short = kernel_.row.is_static() && kernel_.row.value <= kSumChunk * step;
  chunked_loop(row_begin_, middle, step, carries(sweep) && !is_short ? &sweep : nullptr, [&](Value* v) {
    for (int64_t u = 0; u < units_; ++u) sweep_vector(sweep, {u == 0 ? v : b_.CreateAdd(v, number(u * lanes_)), nullptr, u});
  });
  for_loop(middle, row_end_, lanes_, [&](Value* v) { sweep_vector(sweep, lanes_at(v, row_end_, 0)); });
  if (!kernel_.inner.empty()) carry(sweep);
}

// All values of a sweep for one vector.
void KernelEmitter::sweep_vector(const Sweep& sweep, const Lanes& lanes) {
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
    Value* slot = accumulators_[static_cast<size_t>(r)][static_cast<size_t>(kernel_.interleaved >= 0 ? position_ : lanes.unit)];
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

Value* KernelEmitter::value_of(int32_t instruction, const Lanes& lanes) {
  if (const auto found = current_.find(instruction); found != current_.end()) return found->second;
  return once(instruction, lanes);
}

// A value that does not vary within the sweep; it has been computed before the loops (prepare_once).
Value* KernelEmitter::once(int32_t instruction, const Lanes& lanes) {
  const int64_t unit = vertical() && !schedule_.uniform[static_cast<size_t>(instruction)] ? lanes.unit : 0;
  const auto key = std::pair(instruction, unit);
  if (const auto found = once_.find(key); found != once_.end()) return found->second;
  Value* value = compute(instruction, lanes);
  once_[key] = value;
  return value;
}

void KernelEmitter::prepare_once(const Sweep& sweep, const std::vector<Lanes>& columns) {
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

Value* KernelEmitter::compute(int32_t instruction, const Lanes& lanes) {
  const Instruction& i = kernel_.instructions[static_cast<size_t>(instruction)];
  switch (i.kind) {
    case InstructionKind::kLoad: return emit_load(i, lanes);
    case InstructionKind::kNumber: return scalars_.literal(i);
    case InstructionKind::kSize: return size_value(i);
    case InstructionKind::kRandom: return random_of(i, lanes);
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

Value* KernelEmitter::size_value(const Instruction& i) {
  llvm::Type* type = scalars_.element_type(i.type);
  Value* size = extent(i.size);
  size = type->isFloatingPointTy() ? b_.CreateSIToFP(size, type) : b_.CreateIntCast(size, type, true);
  return b_.CreateVectorSplat(static_cast<unsigned>(lanes_), size);
}

int64_t vectors_at_once(const Kernel& kernel, Isa isa) {
  const int64_t lanes = vector_lanes(isa);
  if (kernel.tile >= 0 || kernel.interleaved >= 0) return 1;
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
