#include "backend/llvm/scalar_code.h"

#include <llvm/IR/Intrinsics.h>

#include <cmath>
#include <limits>

#include "ir/base/check.h"

namespace gannet {

using llvm::Value;

namespace {

bool is_floating(DType type) { return type == DType::kF32 || type == DType::kF64; }
unsigned width(DType type) { return static_cast<unsigned>(element_size(type) * 8); }

std::string_view library_name(ScalarOp op) {
  switch (op) {
    case ScalarOp::kTan: return "tan";
    case ScalarOp::kAsin: return "asin";
    case ScalarOp::kAcos: return "acos";
    case ScalarOp::kAtan: return "atan";
    case ScalarOp::kSinh: return "sinh";
    case ScalarOp::kCosh: return "cosh";
    case ScalarOp::kAsinh: return "asinh";
    case ScalarOp::kAcosh: return "acosh";
    case ScalarOp::kAtanh: return "atanh";
    case ScalarOp::kAtan2: return "atan2";
    default: CHECK(false, "no function for {}", name_of(op));
  }
  __builtin_unreachable();
}

}  // namespace

llvm::Type* ScalarCode::element_type(DType dtype) const {
  if (dtype == DType::kF32) return b_.getFloatTy();
  if (dtype == DType::kF64) return b_.getDoubleTy();
  if (dtype == DType::kBool) return b_.getInt1Ty();
  CHECK(is_int(dtype), "no computation in {}", name_of(dtype));
  return b_.getIntNTy(width(dtype));
}

llvm::VectorType* ScalarCode::vector_type(DType dtype) const { return llvm::FixedVectorType::get(element_type(dtype), lanes_); }

llvm::Type* ScalarCode::storage_type(DType dtype) const {
  if (dtype == DType::kBool) return b_.getInt8Ty();
  if (dtype == DType::kF16 || dtype == DType::kBF16) return b_.getInt16Ty();
  return element_type(dtype);
}

Value* ScalarCode::from_storage(Value* bits, DType dtype) {
  if (dtype == DType::kBool) return b_.CreateICmpNE(bits, splat(bits->getType(), 0));
  if (dtype == DType::kF16) {
    Value* half = b_.CreateBitCast(bits, llvm::FixedVectorType::get(b_.getHalfTy(), lanes_));
    return b_.CreateFPExt(half, vector_type(DType::kF32));
  }
  if (dtype == DType::kBF16) {
    Value* wide = b_.CreateZExt(bits, vector_type(DType::kI32));
    return b_.CreateBitCast(b_.CreateShl(wide, splat(wide->getType(), 16)), vector_type(DType::kF32));
  }
  return bits;
}

Value* ScalarCode::to_storage(Value* value, DType dtype) {
  llvm::Type* storage = llvm::FixedVectorType::get(storage_type(dtype), lanes_);
  if (dtype == DType::kBool) return b_.CreateZExt(value, storage);
  if (dtype == DType::kF16) {
    return b_.CreateBitCast(b_.CreateFPTrunc(value, llvm::FixedVectorType::get(b_.getHalfTy(), lanes_)), storage);
  }
  if (dtype == DType::kBF16) {
    Value* bits = b_.CreateBitCast(value, vector_type(DType::kI32));
    llvm::Type* type = bits->getType();
    Value* odd = b_.CreateAnd(b_.CreateLShr(bits, splat(type, 16)), splat(type, 1));
    Value* rounded = b_.CreateLShr(b_.CreateAdd(bits, b_.CreateAdd(odd, splat(type, 0x7fff))), splat(type, 16));
    Value* quiet = b_.CreateOr(b_.CreateLShr(bits, splat(type, 16)), splat(type, 0x40));
    return b_.CreateTrunc(b_.CreateSelect(b_.CreateFCmpUNO(value, value), quiet, rounded), storage);
  }
  return value;
}

Value* ScalarCode::literal(const Instruction& number) {
  llvm::Type* type = vector_type(number.type);
  if (is_floating(number.type)) {
    return llvm::ConstantFP::get(type, number.is_integer ? static_cast<double>(number.integer) : number.number);
  }
  int64_t value = number.integer;
  if (!number.is_integer) {
    const double x = number.number;
    if (number.type == DType::kBool) value = x != 0;
    else if (x != x) value = 0;
    else if (x >= 0x1p63) value = std::numeric_limits<int64_t>::max();
    else if (x <= -0x1p63) value = std::numeric_limits<int64_t>::min();
    else value = static_cast<int64_t>(x);
  } else if (number.type == DType::kBool) {
    value = value != 0;
  }
  const unsigned bits = number.type == DType::kBool ? 1 : width(number.type);
  const uint64_t mask = bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
  return llvm::ConstantInt::get(type, static_cast<uint64_t>(value) & mask);
}

Value* ScalarCode::reduce_pair(ReductionKind kind, DType type, Value* x, Value* y) {
  switch (kind) {
    case ReductionKind::kSum: return arithmetic(ScalarOp::kAdd, type, x, y);
    case ReductionKind::kProduct: return arithmetic(ScalarOp::kMul, type, x, y);
    case ReductionKind::kMax: return type == DType::kBool ? b_.CreateOr(x, y) : arithmetic(ScalarOp::kMax, type, x, y);
    case ReductionKind::kMin: return type == DType::kBool ? b_.CreateAnd(x, y) : arithmetic(ScalarOp::kMin, type, x, y);
  }
  __builtin_unreachable();
}

Value* ScalarCode::emit(const Instruction& i, std::span<Value* const> args, std::span<const DType> types) {
  if (i.kind == InstructionKind::kConvert) return convert(args[0], types[0], i);
  if (i.kind == InstructionKind::kRound) return round_through(args[0], i.storage);
  switch (i.op) {
    case ScalarOp::kSelect: return b_.CreateSelect(args[0], args[1], args[2]);
    case ScalarOp::kCast: return cast(args[0], types[0], i.type);
    case ScalarOp::kPow: return power(types[0], types[1], args[0], args[1]);
    default: break;
  }
  Value* y = args.size() > 1 ? args[1] : nullptr;
  switch (rule_of(i.op)) {
    case ScalarRule::kNumeric: return arithmetic(i.op, types[0], args[0], y);
    case ScalarRule::kFloat: return float_function(i.op, args[0], y);
    case ScalarRule::kCompare: return compare(i.op, types[0], args[0], y);
    case ScalarRule::kInteger:
    case ScalarRule::kLogical: return bits_or_logic(i.op, types[0], args[0], y);
    case ScalarRule::kPower: break;
  }
  CHECK(false, "{} has no code", name_of(i.op));
  __builtin_unreachable();
}

Value* ScalarCode::arithmetic(ScalarOp op, DType type, Value* x, Value* y) {
  const bool real = is_floating(type), is_signed = is_signed_int(type);
  switch (op) {
    case ScalarOp::kAdd: return real ? b_.CreateFAdd(x, y) : b_.CreateAdd(x, y);
    case ScalarOp::kSub: return real ? b_.CreateFSub(x, y) : b_.CreateSub(x, y);
    case ScalarOp::kMul: return real ? b_.CreateFMul(x, y) : b_.CreateMul(x, y);
    case ScalarOp::kDiv: return real ? b_.CreateFDiv(x, y) : divide_integers(type, x, y, false);
    case ScalarOp::kFloorMod:
    case ScalarOp::kTruncMod: return modulus(op, type, x, y);
    case ScalarOp::kMax:
      if (real) return math_.maximum(x, y);
      return b_.CreateSelect(is_signed ? b_.CreateICmpSGT(x, y) : b_.CreateICmpUGT(x, y), x, y);
    case ScalarOp::kMin:
      if (real) return math_.minimum(x, y);
      return b_.CreateSelect(is_signed ? b_.CreateICmpSLT(x, y) : b_.CreateICmpULT(x, y), x, y);
    case ScalarOp::kNeg: return real ? b_.CreateFNeg(x) : b_.CreateNeg(x);
    case ScalarOp::kAbs:
      if (real) return b_.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, x);
      return is_signed ? b_.CreateSelect(b_.CreateICmpSLT(x, splat(x->getType(), 0)), b_.CreateNeg(x), x) : x;
    case ScalarOp::kSign: return sign(type, x);
    default: break;
  }
  CHECK(false, "{} is not arithmetic", name_of(op));
  __builtin_unreachable();
}

Value* ScalarCode::sign(DType type, Value* x) {
  llvm::Type* t = x->getType();
  if (is_floating(type)) {
    Value* one = llvm::ConstantFP::get(t, 1);
    Value* zero = llvm::ConstantFP::get(t, 0);
    Value* below = b_.CreateSelect(b_.CreateFCmpOLT(x, zero), llvm::ConstantFP::get(t, -1), zero);
    Value* result = b_.CreateSelect(b_.CreateFCmpOGT(x, zero), one, below);
    return b_.CreateSelect(b_.CreateFCmpUNO(x, x), x, result);
  }
  Value* zero = splat(t, 0);
  if (!is_signed_int(type)) return b_.CreateSelect(b_.CreateICmpNE(x, zero), splat(t, 1), zero);
  Value* below = b_.CreateSelect(b_.CreateICmpSLT(x, zero), splat(t, -1), zero);
  return b_.CreateSelect(b_.CreateICmpSGT(x, zero), splat(t, 1), below);
}

// 0 where y is 0; for -1 the quotient is -x and the remainder 0, as the processor would trap at the least integer.
Value* ScalarCode::divide_integers(DType type, Value* x, Value* y, bool remainder) {
  llvm::Type* t = x->getType();
  Value* zero = splat(t, 0);
  Value* none = b_.CreateICmpEQ(y, zero);
  if (!is_signed_int(type)) {
    Value* safe = b_.CreateSelect(none, splat(t, 1), y);
    Value* result = remainder ? b_.CreateURem(x, safe) : b_.CreateUDiv(x, safe);
    return b_.CreateSelect(none, zero, result);
  }
  Value* negative = b_.CreateICmpEQ(y, splat(t, -1));
  Value* safe = b_.CreateSelect(b_.CreateOr(none, negative), splat(t, 1), y);
  Value* result = remainder ? b_.CreateSRem(x, safe) : b_.CreateSDiv(x, safe);
  if (!remainder) result = b_.CreateSelect(negative, b_.CreateNeg(x), result);
  return b_.CreateSelect(none, zero, result);
}

Value* ScalarCode::modulus(ScalarOp op, DType type, Value* x, Value* y) {
  const bool real = is_floating(type);
  Value* r = real ? math_.call("fmod", {{x, y}}) : divide_integers(type, x, y, true);
  if (op == ScalarOp::kTruncMod || is_unsigned_int(type)) return r;
  llvm::Type* t = x->getType();
  Value* zero = llvm::Constant::getNullValue(t);
  Value* differs = real ? b_.CreateXor(b_.CreateFCmpOLT(r, zero), b_.CreateFCmpOLT(y, zero))
                        : b_.CreateXor(b_.CreateICmpSLT(r, zero), b_.CreateICmpSLT(y, zero));
  Value* moved = b_.CreateAnd(real ? b_.CreateFCmpUNE(r, zero) : b_.CreateICmpNE(r, zero), differs);
  return b_.CreateSelect(moved, real ? b_.CreateFAdd(r, y) : b_.CreateAdd(r, y), r);
}

Value* ScalarCode::float_function(ScalarOp op, Value* x, Value* y) {
  switch (op) {
    case ScalarOp::kSqrt: return b_.CreateUnaryIntrinsic(llvm::Intrinsic::sqrt, x);
    case ScalarOp::kReciprocal: return b_.CreateFDiv(llvm::ConstantFP::get(x->getType(), 1), x);
    case ScalarOp::kExp: return math_.exp(x);
    case ScalarOp::kExpm1: return math_.expm1(x);
    case ScalarOp::kLog: return math_.log(x);
    case ScalarOp::kLog1p: return math_.log1p(x);
    case ScalarOp::kSin: return math_.sin(x);
    case ScalarOp::kCos: return math_.cos(x);
    case ScalarOp::kTanh: return math_.tanh(x);
    case ScalarOp::kErf: return math_.erf(x);
    case ScalarOp::kSigmoid: return math_.sigmoid(x);
    case ScalarOp::kSoftplus: return math_.softplus(x);
    case ScalarOp::kFloor: return b_.CreateUnaryIntrinsic(llvm::Intrinsic::floor, x);
    case ScalarOp::kCeil: return b_.CreateUnaryIntrinsic(llvm::Intrinsic::ceil, x);
    case ScalarOp::kTrunc: return b_.CreateUnaryIntrinsic(llvm::Intrinsic::trunc, x);
    case ScalarOp::kRound: return b_.CreateUnaryIntrinsic(llvm::Intrinsic::nearbyint, x);
    default: break;
  }
  if (y) return math_.call(library_name(op), {{x, y}});
  return math_.call(library_name(op), {{x}});
}

Value* ScalarCode::compare(ScalarOp op, DType type, Value* x, Value* y) {
  const bool real = is_floating(type), is_signed = is_signed_int(type);
  switch (op) {
    case ScalarOp::kLess: return real ? b_.CreateFCmpOLT(x, y) : is_signed ? b_.CreateICmpSLT(x, y) : b_.CreateICmpULT(x, y);
    case ScalarOp::kLessEqual: return real ? b_.CreateFCmpOLE(x, y) : is_signed ? b_.CreateICmpSLE(x, y) : b_.CreateICmpULE(x, y);
    case ScalarOp::kEqual: return real ? b_.CreateFCmpOEQ(x, y) : b_.CreateICmpEQ(x, y);
    case ScalarOp::kNotEqual: return real ? b_.CreateFCmpUNE(x, y) : b_.CreateICmpNE(x, y);
    default: break;
  }
  CHECK(false, "{} does not compare", name_of(op));
  __builtin_unreachable();
}

Value* ScalarCode::bits_or_logic(ScalarOp op, DType type, Value* x, Value* y) {
  switch (op) {
    case ScalarOp::kAnd:
    case ScalarOp::kBitAnd: return b_.CreateAnd(x, y);
    case ScalarOp::kOr:
    case ScalarOp::kBitOr: return b_.CreateOr(x, y);
    case ScalarOp::kXor:
    case ScalarOp::kBitXor: return b_.CreateXor(x, y);
    case ScalarOp::kNot:
    case ScalarOp::kBitNot: return b_.CreateNot(x);
    default: return shift(op, type, x, y);
  }
}

Value* ScalarCode::shift(ScalarOp op, DType type, Value* x, Value* y) {
  llvm::Type* t = x->getType();
  const bool right_signed = op == ScalarOp::kShiftRight && is_signed_int(type);
  // As unsigned numbers, negative counts are beyond the width too.
  Value* inside = b_.CreateICmpULT(y, llvm::ConstantInt::get(t, width(type)));
  Value* count = b_.CreateSelect(inside, y, splat(t, 0));
  Value* outside = splat(t, 0);
  if (right_signed) outside = b_.CreateSelect(b_.CreateICmpSLT(x, splat(t, 0)), splat(t, -1), splat(t, 0));
  Value* shifted = op == ScalarOp::kShiftLeft ? b_.CreateShl(x, count) : right_signed ? b_.CreateAShr(x, count) : b_.CreateLShr(x, count);
  return b_.CreateSelect(inside, shifted, outside);
}

Value* ScalarCode::power(DType base, DType exponent, Value* x, Value* y) {
  if (is_floating(base)) return float_power(x, cast(y, exponent, base));
  if (!is_floating(exponent)) return integer_power(base, exponent, x, y);
  Value* r = math_.call("pow", {{cast(x, base, DType::kF64), cast(y, exponent, DType::kF64)}});
  const bool is_signed = is_signed_int(base);
  const double high = std::ldexp(1, static_cast<int>(width(base)) - (is_signed ? 1 : 0)), low = is_signed ? -high : 0;
  llvm::Type* t = r->getType();
  Value* fits = b_.CreateAnd(b_.CreateFCmpOGE(r, llvm::ConstantFP::get(t, low)), b_.CreateFCmpOLT(r, llvm::ConstantFP::get(t, high)));
  Value* safe = b_.CreateSelect(fits, r, llvm::ConstantFP::get(t, 0));
  return is_signed ? b_.CreateFPToSI(safe, x->getType()) : b_.CreateFPToUI(safe, x->getType());
}

// Small literal exponents are products; every factor costs half a unit in the last place.
Value* ScalarCode::float_power(Value* x, Value* y) {
  llvm::Type* t = x->getType();
  double exponent = 0;
  if (auto* constant = llvm::dyn_cast<llvm::Constant>(y)) {
    if (auto* number = llvm::dyn_cast_or_null<llvm::ConstantFP>(constant->getSplatValue())) {
      exponent = number->getType()->isFloatTy() ? static_cast<double>(number->getValueAPF().convertToFloat())
                                                : number->getValueAPF().convertToDouble();
    }
  }
  if (exponent == 1) return x;
  if (exponent == -1) return b_.CreateFDiv(llvm::ConstantFP::get(t, 1), x);
  if (exponent == 2) return b_.CreateFMul(x, x);
  if (exponent == 3) return b_.CreateFMul(b_.CreateFMul(x, x), x);
  if (exponent == 4) {
    Value* square = b_.CreateFMul(x, x);
    return b_.CreateFMul(square, square);
  }
  if (exponent == 0.5) {
    // The power of -0 is 0 and that of minus infinity is infinity, unlike the root.
    Value* infinity = llvm::ConstantFP::getInfinity(t);
    Value* root = b_.CreateUnaryIntrinsic(llvm::Intrinsic::sqrt, b_.CreateFAdd(x, llvm::ConstantFP::get(t, 0)));
    return b_.CreateSelect(b_.CreateFCmpOEQ(x, llvm::ConstantFP::getInfinity(t, true)), infinity, root);
  }
  Value* two = llvm::ConstantFP::get(t, 2);
  Value* result = math_.pow(x, y);
  if (exponent != 0) return result;
  return b_.CreateSelect(b_.CreateFCmpOEQ(y, two), b_.CreateFMul(x, x), result);
}

// By squaring, over all bits of the exponent.
Value* ScalarCode::integer_power(DType base, DType exponent, Value* x, Value* y) {
  llvm::Type *t = x->getType(), *u = y->getType();
  const bool is_signed = is_signed_int(exponent);
  const unsigned bits = width(exponent) - (is_signed ? 1 : 0);
  llvm::Function* function = b_.GetInsertBlock()->getParent();
  llvm::BasicBlock* before = b_.GetInsertBlock();
  llvm::BasicBlock* loop = llvm::BasicBlock::Create(b_.getContext(), "power", function);
  llvm::BasicBlock* after = llvm::BasicBlock::Create(b_.getContext(), "after_power", function);
  b_.CreateBr(loop);
  b_.SetInsertPoint(loop);
  llvm::PHINode *count = b_.CreatePHI(b_.getInt32Ty(), 2), *result = b_.CreatePHI(t, 2), *factor = b_.CreatePHI(t, 2), *rest = b_.CreatePHI(u, 2);
  count->addIncoming(b_.getInt32(0), before);
  result->addIncoming(splat(t, 1), before);
  factor->addIncoming(x, before);
  rest->addIncoming(y, before);
  Value* odd = b_.CreateICmpNE(b_.CreateAnd(rest, splat(u, 1)), splat(u, 0));
  Value* next_result = b_.CreateSelect(odd, b_.CreateMul(result, factor), result);
  Value* next_count = b_.CreateAdd(count, b_.getInt32(1));
  count->addIncoming(next_count, loop);
  result->addIncoming(next_result, loop);
  factor->addIncoming(b_.CreateMul(factor, factor), loop);
  rest->addIncoming(b_.CreateLShr(rest, splat(u, 1)), loop);
  b_.CreateCondBr(b_.CreateICmpULT(next_count, b_.getInt32(bits)), loop, after);
  b_.SetInsertPoint(after);
  if (!is_signed) return next_result;
  Value* odd_exponent = b_.CreateICmpNE(b_.CreateAnd(y, splat(u, 1)), splat(u, 0));
  Value* inverse = splat(t, 0);
  if (is_signed_int(base)) {
    Value* alternating = b_.CreateSelect(odd_exponent, splat(t, -1), splat(t, 1));
    inverse = b_.CreateSelect(b_.CreateICmpEQ(x, splat(t, -1)), alternating, inverse);
  }
  inverse = b_.CreateSelect(b_.CreateICmpEQ(x, splat(t, 1)), splat(t, 1), inverse);
  return b_.CreateSelect(b_.CreateICmpSLT(y, splat(u, 0)), inverse, next_result);
}

namespace {

// The operand of the minimum (`predicate` OLT) or maximum (OGT), as VectorMath computes it, of it and a literal below
// 2^31; null for others.
Value* clamped_operand(Value* x, llvm::CmpInst::Predicate predicate) {
  auto* outer = llvm::dyn_cast<llvm::SelectInst>(x);
  auto* inner = outer ? llvm::dyn_cast<llvm::SelectInst>(outer->getFalseValue()) : nullptr;
  auto* compare = inner ? llvm::dyn_cast<llvm::FCmpInst>(inner->getCondition()) : nullptr;
  auto* bound = inner ? llvm::dyn_cast<llvm::Constant>(inner->getFalseValue()) : nullptr;
  auto* number = bound ? llvm::dyn_cast_or_null<llvm::ConstantFP>(bound->getSplatValue()) : nullptr;
  if (!compare || !number || !number->getType()->isFloatTy()) return nullptr;
  if (!(std::abs(number->getValueAPF().convertToFloat()) < 0x1p31f)) return nullptr;
  Value* operand = inner->getTrueValue();
  const bool fits = compare->getPredicate() == predicate && compare->getOperand(0) == operand && compare->getOperand(1) == bound;
  return fits && outer->getTrueValue() == operand ? operand : nullptr;
}

// True for NaN and numbers of less than 32 bits: x is min(max(y, literal), literal).
bool fits_32_bits(Value* x) {
  Value* inner = clamped_operand(x, llvm::CmpInst::FCMP_OLT);
  return inner && clamped_operand(inner, llvm::CmpInst::FCMP_OGT);
}

}  // namespace

Value* ScalarCode::cast(Value* x, DType from, DType to) {
  if (from == to) return x;
  llvm::Type* target = vector_type(to);
  const bool from_real = is_floating(from), to_real = is_floating(to);
  if (to == DType::kBool) {
    Value* zero = llvm::Constant::getNullValue(x->getType());
    return from_real ? b_.CreateFCmpUNE(x, zero) : b_.CreateICmpNE(x, zero);
  }
  if (from_real && to_real) return to == DType::kF64 ? b_.CreateFPExt(x, target) : b_.CreateFPTrunc(x, target);
  const bool from_signed = is_signed_int(from);
  if (to_real) return from_signed ? b_.CreateSIToFP(x, target) : b_.CreateUIToFP(x, target);
  if (from_real && from == DType::kF32 && width(to) <= 32 && fits_32_bits(x)) {
    Value* known = b_.CreateSelect(b_.CreateFCmpORD(x, x), x, llvm::Constant::getNullValue(x->getType()));
    return b_.CreateTrunc(b_.CreateFPToSI(known, vector_type(DType::kI32)), target);
  }
  if (from_real) {
    // Beyond 64 bits it saturates, and then keeps the low bits.
    Value* wide = b_.CreateIntrinsic(llvm::Intrinsic::fptosi_sat, {vector_type(DType::kI64), x->getType()}, {x});
    return b_.CreateTrunc(wide, target);
  }
  return from_signed ? b_.CreateSExtOrTrunc(x, target) : b_.CreateZExtOrTrunc(x, target);
}

// The integer part of f64 as 64 bits, where it has so many; else the least integer.
Value* ScalarCode::truncate_to_bits(Value* x) {
  llvm::Type *t = x->getType(), *wide = vector_type(DType::kI64);
  Value *low = llvm::ConstantFP::get(t, -0x1p63), *high = llvm::ConstantFP::get(t, 0x1p63), *end = llvm::ConstantFP::get(t, 0x1p64);
  Value* zero = llvm::ConstantFP::get(t, 0);
  Value* inside = b_.CreateAnd(b_.CreateFCmpOGE(x, low), b_.CreateFCmpOLT(x, high));
  Value* above = b_.CreateAnd(b_.CreateFCmpOGE(x, high), b_.CreateFCmpOLT(x, end));
  Value* least = splat(wide, std::numeric_limits<int64_t>::min());
  Value* direct = b_.CreateFPToSI(b_.CreateSelect(inside, x, zero), wide);
  Value* shifted = b_.CreateXor(b_.CreateFPToSI(b_.CreateSelect(above, b_.CreateFSub(x, high), zero), wide), least);
  return b_.CreateSelect(inside, direct, b_.CreateSelect(above, shifted, least));
}

// As ir/base/tensor.h's convert.
Value* ScalarCode::convert(Value* x, DType from, const Instruction& to) {
  const bool from_real = is_floating(from);
  if (to.storage == DType::kF16 || to.storage == DType::kBF16) {
    if (from == DType::kF32) return round_through(x, to.storage);
    if (!from_real && width(from) <= 16) return round_through(cast(x, from, DType::kF32), to.storage);
    Value* odd = math_.call_lanes("float_odd", {{cast(x, from, DType::kF64)}}, b_.getFloatTy());
    return round_through(odd, to.storage);
  }
  if (!from_real || to.type == DType::kBool || is_floating(to.type)) return cast(x, from, to.type);
  if (width(to.type) < 64 && from == DType::kF32) {
    // What 32 bits hold needs no more than them; the rest is rare.
    llvm::Type* t = x->getType();
    Value* magnitude = b_.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, x);
    Value* inside = b_.CreateFCmpOLT(magnitude, llvm::ConstantFP::get(t, 0x1p31));
    Value* narrow = b_.CreateFPToSI(b_.CreateSelect(inside, x, llvm::ConstantFP::get(t, 0)), vector_type(DType::kI32));
    Value* wide = b_.CreateTrunc(truncate_to_bits(b_.CreateFPExt(x, vector_type(DType::kF64))), vector_type(DType::kI32));
    return b_.CreateTrunc(b_.CreateSelect(inside, narrow, wide), vector_type(to.type));
  }
  return b_.CreateTrunc(truncate_to_bits(cast(x, from, DType::kF64)), vector_type(to.type));
}

Value* ScalarCode::round_through(Value* x, DType storage) { return from_storage(to_storage(x, storage), storage); }

}  // namespace gannet
